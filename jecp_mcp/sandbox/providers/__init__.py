"""The Hub's providers: registered, verified, publishing manifests, called with a signature, and paid their share."""
