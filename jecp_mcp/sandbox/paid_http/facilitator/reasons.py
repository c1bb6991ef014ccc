"""Why a facilitator refuses a payment, in the words x402's implementations use. Pure: no I/O."""

from __future__ import annotations

from typing import Final

INVALID_PAYLOAD: Final = "invalid_payload"
INVALID_REQUIREMENTS: Final = "invalid_payment_requirements"
INVALID_VERSION: Final = "invalid_x402_version"
UNSUPPORTED_SCHEME: Final = "unsupported_scheme"
NETWORK_MISMATCH: Final = "network_mismatch"
NO_CONTRACT: Final = "asset_not_deployed_contract"
NO_DOMAIN: Final = "missing_eip712_domain"
NAME_MISMATCH: Final = "invalid_exact_evm_token_name_mismatch"
VERSION_MISMATCH: Final = "invalid_exact_evm_token_version_mismatch"
NOT_EIP3009: Final = "invalid_exact_evm_eip3009_not_supported"
RECIPIENT_MISMATCH: Final = "invalid_exact_evm_payload_recipient_mismatch"
VALUE_MISMATCH: Final = "invalid_exact_evm_payload_authorization_value_mismatch"
VALID_BEFORE: Final = "invalid_exact_evm_payload_authorization_valid_before"
VALID_AFTER: Final = "invalid_exact_evm_payload_authorization_valid_after"
SIGNATURE: Final = "invalid_exact_evm_payload_signature"
NONCE_USED: Final = "invalid_exact_evm_nonce_already_used"
BALANCE: Final = "invalid_exact_evm_insufficient_balance"
TRANSACTION_FAILED: Final = "transaction_failed"
TRANSACTION_STATE: Final = "invalid_transaction_state"
