"""From a refusal to the next step: who acts, and the ready call."""
