"""The console: what a person sees of a sandbox Hub, on loopback, with the key that its start printed. It only shows."""
