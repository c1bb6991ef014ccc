"""What every ledger does, as the tests of the one in a file say it, done by the one in PostgreSQL."""

from __future__ import annotations

from inspect import signature
from typing import Final

import pytest

from tests.unit.mandate import (
    test_accounts,
    test_claims,
    test_copies,
    test_corrections,
    test_grants,
    test_in_doubt,
    test_new_limits,
    test_notes,
    test_pruning,
    test_reconciled_charged,
    test_reconciled_free,
    test_refunds,
    test_released,
    test_resends,
    test_reserved,
    test_room,
    test_sent,
    test_settled,
    test_turning,
    test_windows,
    test_written_off,
    test_wrong_clock,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SHARED: Final = (
    test_accounts, test_claims, test_copies, test_corrections, test_in_doubt, test_new_limits, test_notes, test_pruning,
    test_reconciled_charged, test_reconciled_free, test_refunds, test_released, test_resends, test_reserved, test_room,
    test_sent, test_settled, test_turning, test_grants, test_windows, test_written_off, test_wrong_clock,
)  # fmt: skip
OF_THE_FILE: Final = {
    "test_what_was_made_while_the_clock_was_ahead_is_written_off_where_nobody_works_on_it",
    "test_whoever_takes_a_call_over_says_so_and_sends_it_again_under_its_own_claim",
    "test_more_than_one_transaction_takes_go_in_several",
    "test_a_body_that_pruning_kept_cannot_go_unseen",
    "test_a_refund_survives_a_restart_and_a_count_anew",
    "test_what_was_spent_survives_a_restart",
    "test_a_refusal_does_not_keep_the_ledger_from_seeing_what_others_write",
    "test_every_process_on_the_file_sees_that_the_clock_went_back",
    "test_a_limit_that_has_much_to_add_up_is_read_beside_the_loop",
    "test_a_limit_that_must_count_many_calls_counts_them_in_steps_and_denies_meanwhile",
    "test_a_call_is_sent_again_only_when_a_new_limit_has_counted_all_that_came_before",
}
"""Tests that look into the file or its module."""
OWN_FILE: Final = {"path", "tmp_path"}
"""What tests ask for that open a file of their own, or the ledger's file again."""

for module in SHARED:
    state = module.__name__.rpartition(".test_")[2]
    for name, test in vars(module).items():
        if (
            name.startswith("test_")
            and name not in OF_THE_FILE
            and signature(test).parameters.keys().isdisjoint(OWN_FILE)
        ):
            globals()[f"{name}__{state}"] = test
