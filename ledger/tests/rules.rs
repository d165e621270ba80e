//! The rules of protocol section 6, an example each.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking, and its numbers are small"
)]

#[allow(dead_code, reason = "shared with the rules about L1")]
mod chain;

use weft_ledger::{Key, SnapshotError, State, Value};
use weft_types::{B256, Bytes, NamespaceId, NamespaceSettings, Payload, Submitters};
use weft_types::{SkipReason, Slice, SliceEntry, TransactionId, Wei};

use chain::*;

// What a transaction pays, and who gets it.

#[test]
fn a_transfer_pays_for_its_bytes_only() {
    let mut chain = Chain::new();
    let payment = chain.sign(&alice(), transfer(&bob(), 300));
    assert_eq!(chain.order(&[&payment]), [executed(inclusion(&payment))]);
    assert_eq!(chain.balance(&alice()), ENDOWMENT - 300 - inclusion(&payment));
    assert_eq!(chain.balance(&bob()), ENDOWMENT + 300);
}

#[test]
fn a_submission_pays_the_network_and_its_namespace() {
    let mut chain = Chain::new();
    // Both prices are at the floor.
    assert_eq!(chain.order_one(&alice(), submit(SEVEN, 200)), executed(2 * 200 * FLOOR));
    assert_eq!(chain.balance(&alice()), ENDOWMENT - 400 * FLOOR);
}

#[test]
fn fees_are_shared_by_seats_and_what_is_left_over_is_burned() {
    let mut chain = Chain::with(|genesis| {
        for (member, seats) in genesis.validators.iter_mut().zip([1, 2, 3, 1]) {
            member.seats = seats;
        }
    });
    let payment = chain.sign(&alice(), transfer(&bob(), 1));
    chain.seen_by(&[0, 2, 3]).block(&[(1, &[&payment])]);
    let seventh = inclusion(&payment) / 7;
    assert_ne!(inclusion(&payment) % 7, 0, "the example is one with a remainder");
    assert_eq!(chain.earned(0), seventh);
    assert_eq!(chain.earned(1), 0, "not embedded, though it was the author");
    assert_eq!(chain.earned(2), inclusion(&payment) * 3 / 7);
    assert_eq!(chain.earned(3), seventh);
    let paid = 2 * seventh + inclusion(&payment) * 3 / 7;
    assert_eq!(chain.state.burned(), inclusion(&payment) - paid);
}

#[test]
fn a_registration_fee_is_shared_like_any_other() {
    let mut chain = Chain::new();
    let registration = chain.sign(&carol(), register(8, open()));
    let fee = inclusion(&registration) + REGISTRATION_FEE;
    assert_eq!(chain.order(&[&registration]), [executed(fee)]);
    assert_eq!(chain.balance(&carol()), ENDOWMENT - fee);
    assert_eq!(chain.earned(3), fee / 4);
}

#[test]
fn transactions_see_what_stands_before_them_in_the_block() {
    let mut chain = Chain::new();
    let gift = chain.sign(&alice(), transfer(&pauper(), 1_000_000));
    let spent = chain.sign(&pauper(), transfer(&bob(), 1));
    let first = chain.block(&[(0, &[&spent]), (1, &[&gift])]).receipts;
    assert_eq!(first[0], [skipped(SkipReason::CannotPayFee, 0)]);

    let spent = chain.sign(&pauper(), transfer(&bob(), 1));
    let gift = chain.sign(&alice(), transfer(&pauper(), 1_000_000));
    assert_eq!(chain.order(&[&gift, &spent])[1], executed(inclusion(&spent)));
}

#[test]
fn a_transfer_to_oneself_moves_nothing() {
    let mut chain = Chain::new();
    let all = chain.sign(&alice(), transfer(&alice(), ENDOWMENT));
    assert_eq!(
        chain.order(&[&all]),
        [skipped(SkipReason::BalanceTooLow, inclusion(&all))],
        "not even what one does not have beyond the fee"
    );
    let left = chain.balance(&alice());
    let payment = chain.sign(&alice(), transfer(&alice(), left / 2));
    assert_eq!(chain.order(&[&payment]), [executed(inclusion(&payment))]);
    assert_eq!(chain.balance(&alice()), left - inclusion(&payment));
}

// Why a transaction is skipped.

#[test]
fn skipped_without_a_fee_if_max_fee_is_below_the_price_of_its_bytes() {
    let mut chain = Chain::new();
    let size = bytes(&chain.sign(&alice(), transfer(&bob(), 1)));
    let fee = size * FLOOR;
    let mut order = |max_fee| {
        let tx = chain.sign_with(&alice(), transfer(&bob(), 1), |body| body.max_fee = max_fee);
        (chain.order(&[&tx])[0], chain.debt(0))
    };
    assert_eq!(order(fee), (executed(fee), 0));
    assert_eq!(order(fee - 1), (skipped(SkipReason::FeeAboveMax, 0), fee), "its author owes it");
}

#[test]
fn skipped_without_a_fee_if_the_sender_cannot_pay_for_its_bytes() {
    let mut chain = Chain::new();
    let size = bytes(&chain.sign(&pauper(), transfer(&bob(), 0)));
    let short = chain.sign(&alice(), transfer(&pauper(), size * FLOOR - 1));
    let one_more = chain.sign(&alice(), transfer(&pauper(), 1));
    let attempts = [(); 2].map(|()| chain.sign(&pauper(), transfer(&bob(), 0)));
    let receipts = chain.order(&[&short, &attempts[0], &one_more, &attempts[1]]);
    assert_eq!(receipts[1], skipped(SkipReason::CannotPayFee, 0));
    assert_eq!(receipts[3], executed(size * FLOOR));
    assert_eq!(chain.balance(&pauper()), 0);
}

#[test]
fn skipped_for_a_fee_if_the_namespace_is_unknown() {
    let mut chain = Chain::new();
    let nowhere = NamespaceId(8);
    let expected = skipped(SkipReason::UnknownNamespace, 200 * FLOOR);
    assert_eq!(chain.order_one(&alice(), submit(nowhere, 200)), expected);
    let change = chain.sign(&alice(), update(nowhere, open()));
    assert_eq!(
        chain.order(&[&change]),
        [skipped(SkipReason::UnknownNamespace, inclusion(&change))]
    );
}

#[test]
fn skipped_for_a_fee_if_the_namespace_does_not_admit_the_sender() {
    let only_bob = Submitters::Only(vec![bob().address()]);
    let mut chain = Chain::with(|genesis| genesis.namespaces[0].settings.submitters = only_bob);
    let expected = skipped(SkipReason::NotAdmitted, 200 * FLOOR);
    assert_eq!(chain.order_one(&alice(), submit(SEVEN, 200)), expected, "nor does it its owner");
    assert_eq!(chain.order_one(&bob(), submit(SEVEN, 200)), executed(400 * FLOOR));
}

#[test]
fn skipped_for_a_fee_if_what_is_left_does_not_cover_the_namespace_s_fee() {
    let mut chain = Chain::new();
    let expected = skipped(SkipReason::NamespaceFeeNotCovered, 200 * FLOOR);
    let mut order = |key, max_fee| {
        let tx = chain.sign_with(&key, submit(SEVEN, 200), |body| body.max_fee = max_fee);
        chain.order(&[&tx])[0]
    };
    assert_eq!(order(alice(), 400 * FLOOR - 1), expected, "of max_fee");
    assert_eq!(order(alice(), 400 * FLOOR), executed(400 * FLOOR));

    chain.order_one(&alice(), transfer(&pauper(), 400 * FLOOR - 1));
    assert_eq!(chain.order_one(&pauper(), submit(SEVEN, 200)), expected, "of the balance");
    assert_eq!(chain.balance(&pauper()), 200 * FLOOR - 1);
}

#[test]
fn skipped_for_a_fee_if_the_sender_lacks_what_it_moves() {
    let mut chain = Chain::new();
    let fee = inclusion(&chain.sign(&alice(), transfer(&bob(), 0)));
    let expected = skipped(SkipReason::BalanceTooLow, fee);
    assert_eq!(chain.order_one(&alice(), transfer(&bob(), ENDOWMENT - fee + 1)), expected);
    assert_eq!(chain.order_one(&alice(), transfer(&bob(), ENDOWMENT - 2 * fee)), executed(fee));
    assert_eq!(chain.balance(&alice()), 0);
}

#[test]
fn skipped_for_a_fee_if_the_sender_lacks_the_registration_fee() {
    let mut chain = Chain::new();
    chain.order_one(&alice(), transfer(&pauper(), REGISTRATION_FEE));
    let registration = chain.sign(&pauper(), register(8, open()));
    let fee = inclusion(&registration);
    assert_eq!(chain.order(&[&registration]), [skipped(SkipReason::BalanceTooLow, fee)]);
    assert!(chain.state.namespace(NamespaceId(8)).is_none());
}

#[test]
fn skipped_for_a_fee_if_the_receiver_would_have_more_than_there_can_be() {
    // No genesis allots so much; a snapshot can claim it.
    let mut chain = Chain::new();
    let mut entries = chain.entries();
    entries.push((Key::Account(pauper().address()), Value::Wei(Wei::MAX - 5)));
    chain.state = restored(&chain, entries);
    let fee = inclusion(&chain.sign(&alice(), transfer(&pauper(), 0)));
    let expected = skipped(SkipReason::Overflow, fee);
    assert_eq!(chain.order_one(&alice(), transfer(&pauper(), 6)), expected);
    assert_eq!(chain.order_one(&alice(), transfer(&pauper(), 5)), executed(fee));
    assert_eq!(chain.balance(&pauper()), Wei::MAX);
}

// Who pays for what nobody pays for: the author that ordered it.

#[test]
fn an_author_owes_what_nobody_pays_for_and_earns_nothing_until_it_is_covered() {
    let mut chain = Chain::new();
    let stranger = chain.sign(&pauper(), transfer(&bob(), 1));
    let payment = chain.sign(&alice(), transfer(&bob(), 1));
    let (owed, quarter) = (inclusion(&stranger), inclusion(&payment) / 4);
    chain.block(&[(1, &[&stranger]), (2, &[&payment])]);
    assert_eq!(chain.debt(1), owed - quarter, "its part went into the debt");
    assert_eq!([chain.earned(0), chain.earned(1)], [quarter, 0]);
    assert_eq!(chain.state.burned(), inclusion(&payment) - 3 * quarter, "and was burned");

    let submission = chain.sign(&alice(), submit(SEVEN, 4_000));
    chain.block(&[(2, &[&submission])]);
    let part = 2 * inclusion(&submission) / 4;
    assert_eq!(chain.debt(1), 0);
    assert_eq!(chain.earned(1), part - (owed - quarter), "from here on it earns again");
    assert_eq!(chain.earned(0), quarter + part);
}

#[test]
fn a_debt_stays_while_the_validator_is_not_embedded() {
    let mut chain = Chain::new();
    let stranger = chain.sign(&pauper(), transfer(&bob(), 1));
    chain.block(&[(1, &[&stranger])]);
    let payment = chain.sign(&alice(), submit(SEVEN, 4_000));
    chain.seen_by(&[0, 2, 3]).block(&[(1, &[&payment])]);
    assert_eq!(chain.debt(1), inclusion(&stranger));
}

#[test]
fn malformed_transactions_leave_no_receipt_and_their_author_owes_them() {
    let mut chain = Chain::new();
    let other_chain = chain.sign_with(&alice(), transfer(&bob(), 1), |body| body.chain_id += 1);
    let no_data = chain.sign(&alice(), Payload::Submit { namespace: SEVEN, data: vec![] });
    let empty_item = vec![Bytes::from_static(b"x"), Bytes::new()];
    let empty_item = chain.sign(&alice(), Payload::Submit { namespace: SEVEN, data: empty_item });
    let mut unsigned = chain.sign(&alice(), transfer(&bob(), 1));
    unsigned.signature.0[64] = 0;
    let all = [&other_chain, &no_data, &empty_item, &unsigned];
    assert_eq!(chain.order(&all), [None; 4]);
    assert_eq!(chain.debt(0), all.into_iter().map(inclusion).sum::<Wei>());
    assert_eq!(chain.balance(&alice()), ENDOWMENT);
}

#[test]
fn a_transaction_is_good_from_max_validity_before_its_end_until_its_end() {
    let mut chain = Chain::new();
    let now = chain.next_ms();
    let limit = now + chain.genesis.params.max_validity_ms;
    let [expired, last, first, early] = [now - 1, now, limit, limit + 1]
        .map(|end| chain.sign_with(&alice(), transfer(&bob(), 1), |body| body.valid_until = end));
    let fee = inclusion(&expired);
    let receipts = chain.order(&[&expired, &last, &first, &early]);
    assert_eq!(receipts, [None, executed(fee), executed(fee), None]);
    assert_eq!(chain.debt(0), 2 * fee - 2 * fee / 4, "for the two outside");

    // What came too early was not remembered: it may come again in time.
    assert_eq!(chain.order(&[&early]), [executed(fee)]);
}

// Duplicates.

#[test]
fn a_duplicate_costs_nobody_anything_for_sixteen_heights() {
    let mut chain = Chain::new();
    let payment = chain.sign(&alice(), transfer(&bob(), 1));
    let first = chain.block(&[(0, &[&payment, &payment]), (1, &[&payment])]);
    assert_eq!(first.receipts[0], [executed(inclusion(&payment)), None], "in the same batch");
    assert_eq!(first.receipts[1], [None], "in another lane");
    for _ in 2..17 {
        chain.block(&[]);
    }
    assert_eq!(chain.block(&[(2, &[&payment])]).receipts, [[None]], "sixteen heights later");
    assert_eq!(chain.balance(&alice()), ENDOWMENT - 1 - inclusion(&payment));
    assert_eq!([0, 1, 2].map(|author| chain.debt(author)), [0; 3]);
}

#[test]
fn a_duplicate_later_than_that_is_on_its_author() {
    let mut chain = Chain::new();
    let payment = chain.sign(&alice(), transfer(&bob(), 1));
    chain.order(&[&payment]);
    for height in 2..18 {
        let comes_by: Batches<'_> = &[(1, &[&payment])];
        chain.block(if height == 10 { comes_by } else { &[] });
    }
    // Heights count from when it was first ordered, not from when it last came by.
    assert_eq!(chain.debt(1), 0);
    assert_eq!(chain.block(&[(2, &[&payment])]).receipts, [[None]]);
    assert_eq!(chain.debt(2), inclusion(&payment));
    assert_eq!(chain.balance(&bob()), ENDOWMENT + 1);
}

#[test]
fn what_was_skipped_is_remembered_as_well() {
    let mut chain = Chain::new();
    let payment = chain.sign(&pauper(), transfer(&bob(), 1));
    assert_eq!(chain.order(&[&payment]), [skipped(SkipReason::CannotPayFee, 0)]);
    chain.order_one(&alice(), transfer(&pauper(), 1_000_000));
    assert_eq!(chain.order(&[&payment]), [None], "though it could pay by now");
    assert_eq!(chain.balance(&pauper()), 1_000_000);

    let stingy = chain.sign_with(&alice(), transfer(&bob(), 1), |body| body.max_fee = 0);
    assert_eq!(chain.order(&[&stingy]), [skipped(SkipReason::FeeAboveMax, 0)]);
    assert_eq!(chain.order(&[&stingy]), [None]);
}

#[test]
fn a_transaction_is_forgotten_once_it_has_ended() {
    let mut chain = Chain::new();
    let end = chain.next_ms() + 1_000;
    let payment = chain.sign_with(&alice(), transfer(&bob(), 1), |body| body.valid_until = end);
    chain.order(&[&payment]);
    let is_remembered =
        |chain: &Chain| chain.state.entries().any(|(key, _)| matches!(key, Key::Remembered(_)));
    chain.block(&[]);
    assert_eq!(chain.state.clock().time_ms, end);
    assert!(is_remembered(&chain));
    chain.after_ms(1).block(&[]);
    assert!(!is_remembered(&chain));
    // It cannot come back: it is over.
    assert_eq!(chain.order(&[&payment]), [None]);
    assert_eq!(chain.balance(&bob()), ENDOWMENT + 1);
}

// Quotas.

#[test]
fn a_quota_is_a_bucket_that_refills_with_time() {
    let mut chain = Chain::with(|genesis| genesis.namespaces[0].settings = with_quota(500, 300));
    let over = skipped(SkipReason::OverQuota, 150 * FLOOR);
    let fine = executed(2 * 150 * FLOOR);
    let three = [(); 3].map(|()| chain.sign(&bob(), submit(SEVEN, 150)));
    let three = [&three[0], &three[1], &three[2]];
    assert_eq!(chain.order(&three), [fine, fine, over], "it starts full");

    chain.after_ms(299);
    assert_eq!(chain.order_one(&bob(), submit(SEVEN, 150)), over);
    // What is skipped takes nothing out of it, nor the half token that there was by then.
    chain.after_ms(1);
    assert_eq!(chain.order_one(&bob(), submit(SEVEN, 150)), fine);

    let three = [(); 3].map(|()| chain.sign(&bob(), submit(SEVEN, 150)));
    let three = [&three[0], &three[1], &three[2]];
    chain.after_ms(99_000);
    assert_eq!(chain.order(&three), [fine, fine, over], "it never holds more than its burst");
}

#[test]
fn a_bucket_keeps_its_tokens_over_an_update() {
    let mut chain = Chain::with(|genesis| genesis.namespaces[0].settings = with_quota(10, 1_000));
    let mut update_to = |settings: NamespaceSettings| {
        chain.order_one(&alice(), update(SEVEN, settings));
        chain.state.namespace(SEVEN).unwrap().tokens
    };
    assert_eq!(update_to(with_quota(10, 400)), 400, "capped by a smaller burst");
    assert_eq!(update_to(with_quota(100, 1_000)), 400, "a larger one is not filled up");
    assert_eq!(update_to(with_quota(1, 1_000)), 500, "a second at the rate before");
    assert_eq!(update_to(open()), 0);
    assert_eq!(update_to(with_quota(1, 700)), 700, "a new one starts full");
}

// Prices.

#[test]
fn the_price_rises_with_the_bytes_of_a_block_and_falls_with_time() {
    let mut chain = Chain::with(|genesis| genesis.params.target_bytes_per_second = 1_000);
    // Eight seconds' worth of bytes or more double it.
    chain.order_one(&alice(), submit(SEVEN, 9_000));
    let prices = [0, 1_000, 4_000, 7_999, 8_000, 1 << 40].map(|gap| chain.after_ms(gap).price());
    assert_eq!(prices, [2_000, 1_750, 1_000, 1_000, 1_000, 1_000], "it stops at the floor");

    chain.after_ms(1_000);
    assert_eq!(
        chain.order_one(&bob(), submit(SEVEN, 200)),
        executed(200 * (1_750 + FLOOR)),
        "a block charges the price at its time, not what it makes of it"
    );
}

#[test]
fn what_an_author_owes_is_at_the_price_of_the_block() {
    let mut chain = Chain::with(|genesis| genesis.params.target_bytes_per_second = 1_000);
    chain.order_one(&alice(), submit(SEVEN, 9_000));
    let stranger = chain.sign(&pauper(), transfer(&bob(), 1));
    chain.after_ms(1_000).block(&[(1, &[&stranger])]);
    assert_eq!(chain.debt(1), bytes(&stranger) * 1_750);
}

#[test]
fn half_of_that_raises_the_price_by_half() {
    let mut chain = Chain::with(|genesis| genesis.params.target_bytes_per_second = 1_000);
    // A batch is author, incarnation, seq, parent, count and signature besides.
    let around = 20 + 4 + 8 + 32 + 4 + 65;
    chain.order_one(&alice(), submit(SEVEN, 4_000 - around));
    assert_eq!(chain.after_ms(0).price(), 1_500);
    // Bytes that are not paid for, or take no effect, count as well.
    let stranger = chain.sign(&pauper(), submit(SEVEN, 4_000 - around));
    chain.after_ms(1).order(&[&stranger]);
    assert_eq!(chain.after_ms(0).price(), 2_250);
}

#[test]
fn a_namespace_s_price_rises_with_what_is_submitted_to_it_only() {
    let mut chain = Chain::with(|genesis| genesis.params.namespace_target_bytes_per_second = 1_000);
    let eight = NamespaceId(8);
    chain.order_one(&alice(), register(8, open()));
    let [four, two] = [(SEVEN, 4_000), (eight, 2_000)]
        .map(|(namespace, bytes)| chain.sign(&alice(), submit(namespace, bytes)));
    chain.order(&[&four, &two]);
    let price = |chain: &mut Chain| {
        chain.after_ms(0);
        (chain.price_of(SEVEN), chain.price_of(eight))
    };
    assert_eq!(price(&mut chain), (1_500, 1_250));

    // Submissions that are skipped do not move it.
    let skipped = chain.sign_with(&alice(), submit(eight, 8_000), |body| {
        body.max_fee = 8_000 * FLOOR;
    });
    chain.after_ms(800).order(&[&skipped]);
    assert_eq!(price(&mut chain), (1_350, 1_125), "time does");
}

// Empty blocks and presence.

#[test]
fn an_empty_block_moves_time_and_nothing_else() {
    let mut chain = Chain::new();
    chain.order_one(&alice(), submit(SEVEN, 200));
    let before = chain.state.clock();
    let applied = chain.after_ms(1).seen_by(&[]).block(&[]);
    let changed: Vec<Key> = applied.changes.iter().map(|(key, _)| *key).collect();
    assert_eq!(changed, [Key::Clock, Key::GlobalPrice]);
    let after = chain.state.clock();
    assert_eq!((after.height, after.time_ms), (before.height + 1, before.time_ms + 1));
    assert_eq!(after.non_empty_blocks, before.non_empty_blocks);
    assert!(applied.slices.is_empty());
}

#[test]
fn a_validator_unseen_for_the_window_is_absent_and_does_not_lead() {
    let mut chain = Chain::new();
    let everybody = [true; 4];
    for _ in 0..2 {
        chain.seen_by(&[0, 1, 2]).block(&[]);
        chain.seen_by(&[]).block(&[]);
        assert!(!chain.state.is_absent(&validator(3)), "empty blocks do not count");
        assert_eq!(chain.state.leaders(), everybody);
    }
    chain.seen_by(&[0, 1, 2]).block(&[]);
    assert!(chain.state.is_absent(&validator(3)));
    assert_eq!(chain.state.leaders(), [true, true, true, false]);

    chain.seen_by(&[1, 2, 3]).block(&[]);
    assert!(!chain.state.is_absent(&validator(3)), "once is enough");
    assert_eq!(chain.state.leaders(), everybody);
}

#[test]
fn all_lead_if_those_present_are_no_quorum() {
    // Three seats of five are a majority, and not enough.
    let mut chain = Chain::with(|genesis| genesis.validators[3].seats = 2);
    for _ in 0..3 {
        chain.seen_by(&[0, 1, 2]).block(&[]);
    }
    assert!(chain.state.is_absent(&validator(3)));
    assert_eq!(chain.state.leaders(), [true; 4]);
}

// Namespaces.

#[test]
fn a_namespace_belongs_to_whom_its_owner_gives_it() {
    let mut chain = Chain::new();
    let bobs = || NamespaceSettings { owner: bob().address(), ..open() };
    let handover = chain.sign(&alice(), update(SEVEN, bobs()));
    let second_thoughts = chain.sign(&alice(), update(SEVEN, open()));
    let early = chain.sign(&bob(), update(SEVEN, bobs()));
    let fee = inclusion(&handover);
    let not_owner = skipped(SkipReason::NotOwner, fee);
    let receipts = chain.order(&[&early, &handover, &second_thoughts]);
    assert_eq!(receipts, [not_owner, executed(fee), not_owner]);
    assert_eq!(chain.state.namespace(SEVEN).unwrap().settings, bobs());
    assert_eq!(chain.order_one(&bob(), update(SEVEN, open())), executed(fee));
}

#[test]
fn a_namespace_is_registered_once() {
    let mut chain = Chain::new();
    let carols = NamespaceSettings { owner: carol().address(), ..with_quota(10, 500) };
    let first = chain.sign(&carol(), register(8, carols.clone()));
    let second = chain.sign(&bob(), register(8, open()));
    let receipts = chain.order(&[&first, &second]);
    assert_eq!(receipts[1], skipped(SkipReason::NamespaceTaken, inclusion(&second)));
    let registered = chain.state.namespace(NamespaceId(8)).unwrap();
    assert_eq!(registered.settings, carols);
    assert_eq!(registered.tokens, 500, "its bucket starts full");
    assert_eq!(chain.price_of(NamespaceId(8)), FLOOR);
}

#[test]
fn a_slice_is_what_was_executed_in_block_order() {
    let mut chain = Chain::new();
    chain.order_one(&alice(), register(3, open()));
    let [a, c] = [(); 2].map(|()| chain.sign(&alice(), submit(SEVEN, 200)));
    let b = chain.sign(&bob(), submit(SEVEN, 300));
    let elsewhere = chain.sign(&carol(), submit(NamespaceId(3), 150));
    let skipped = chain.sign(&pauper(), submit(SEVEN, 200));
    let applied = chain.block(&[(2, &[&a, &elsewhere]), (0, &[&skipped, &b]), (2, &[&c])]);

    let entry = |transaction: &weft_types::Transaction, key: &weft_types::SecretKey| {
        let Payload::Submit { data, .. } = &transaction.body.payload else { unreachable!() };
        let id: TransactionId = weft_types::transaction::id_of(transaction);
        SliceEntry::Submission { transaction: id, submitter: key.address(), data: data.clone() }
    };
    let entries = vec![entry(&a, &alice()), entry(&b, &bob()), entry(&c, &alice())];
    let other = Slice { namespace: NamespaceId(3), entries: vec![entry(&elsewhere, &carol())] };
    assert_eq!(applied.slices, [other, Slice { namespace: SEVEN, entries }]);
}

// Snapshots.

#[test]
fn a_snapshot_with_another_wei_or_without_the_clock_is_refused() {
    let mut chain = Chain::new();
    chain.order_one(&alice(), submit(SEVEN, 200));
    let root = chain.state.ledger_root();
    let refused = |entries, root| State::from_snapshot(&chain.genesis, entries, root).err();
    assert_eq!(refused(chain.entries(), root), None);

    let mut richer = chain.entries();
    for (key, value) in &mut richer {
        if *key == Key::Account(alice().address()) {
            *value = Value::Wei(ENDOWMENT);
        }
    }
    let error = refused(richer, root);
    assert!(matches!(error, Some(SnapshotError::Root { expected, .. }) if expected == root));

    let mut timeless = chain.entries();
    timeless.retain(|(key, _)| *key != Key::Clock);
    let error = refused(timeless.clone(), root);
    assert!(matches!(error, Some(SnapshotError::Root { expected, .. }) if expected == root));
    let its_root = root_of(&chain, &timeless);
    assert_eq!(refused(timeless, its_root), Some(SnapshotError::Incomplete(Key::Clock)));
}

/// The state with these entries, whatever root they come to.
fn restored(chain: &Chain, entries: Vec<(Key, Value)>) -> State {
    let root = root_of(chain, &entries);
    State::from_snapshot(&chain.genesis, entries, root).unwrap()
}

fn root_of(chain: &Chain, entries: &[(Key, Value)]) -> B256 {
    match State::from_snapshot(&chain.genesis, entries.to_vec(), B256::ZERO) {
        Err(SnapshotError::Root { actual, .. }) => actual,
        Err(incomplete) => panic!("{incomplete}"),
        Ok(_) => panic!("entries that come to zero"),
    }
}
