"""An embedded Hub with test money."""
