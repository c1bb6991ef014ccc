"""The next actions of Hubs that are in use today, in JECP's words. The set is open."""

TYPES = frozenset(
    {
        "topup", "topup_url", "register", "increase_mandate", "refresh_mandate", "retry_after", "discover",
        "see_manifest", "earn_trust", "try_alternative_provider", "retry_or_alternative", "upgrade_client",
        "drop_streaming_accept", "x402_settle", "check_signer", "resign", "switch_to_wallet", "check_gas", "raise_cap",
        "review_intent", "link_wallet",
    }
)  # fmt: skip
