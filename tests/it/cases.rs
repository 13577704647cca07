//! Scenarios whose right verdict is known: `tests/cases/`, with what each must give in `tests/cases/cases.yaml`.
//!
//! A quick case is a test; a slow one is an ignored test. `scripts/cases` runs all of them and writes `docs/cases.md`.

mod compare;
mod index;
mod judge;
mod run;
mod seen;
mod table;

/// One test for each case, `quick` ones and `slow` ones (ignored, so that only `scripts/cases` and who asks runs them).
macro_rules! cases {
    (quick: $($quick:ident)* ; slow: $($slow:ident)* ;) => {
        const QUICK: &[&str] = &[$(stringify!($quick)),*];
        const SLOW: &[&str] = &[$(stringify!($slow)),*];
        $(#[test]
        fn $quick() {
            judge::test(stringify!($quick));
        })*
        $(#[test]
        #[ignore = "slow; scripts/cases runs it"]
        fn $slow() {
            judge::test(stringify!($slow));
        })*
    };
}

cases! {
    quick:
        k01_deleted_before_committed_read
        k02_reader_that_never_ran
        k04_recreated_under_a_group
        k05_aborted_by_fencing
        k10_recovery_without_acknowledgements
        k11_recovery_of_a_load_that_was_over
        k13_copies_with_another_body
        k14_deleted_topic
        k17_rebalances_of_no_group
        k18_early_reader_under_a_guarantee
        k20_every_message_refused
        k21_lost_and_doubled
        k23_reader_behind_everything
        k25_everything_aborted
        k27_two_kills_at_once
        k28_copies_by_another_key
        k29_group_of_two_one_idle
        k32_phases_after_the_load
        k40_two_readers_that_cannot_finish
        k42_fenced_in_short_transactions
        k44_properties_past_the_words
        k48_deleted_is_not_superseded
        k49_recovery_of_a_load_that_met_nothing
        k54_only_under_another_key
        k56_refused_otherwise
        k57_read_on_after_a_check
        k58_union_of_two_groups
        k59_early_readers_of_two_topics
        k60_what_another_one_had_read
        k61_schema_of_nothing
        k71_at_most_once_of_nothing
        k72_written_again_behind_a_check
        k73_a_reader_beside_a_group
        k74_a_group_joins_a_load_at_its_end
        k75_a_topic_made_twice
        k76_a_later_check_that_asks_for_less
        k77_another_step_of_the_group_joins_after_a_check
        k78_refused_as_expected_beside_a_load
        k91_written_again_behind_a_cut
        k92_output_deleted_before_its_check
        k93_input_deleted_before_its_check
        k95_latencies_before_an_open_transaction
        k96_named_twice
        k98_two_topics_of_one_group
        r41_fenced
        r53_tombstones
        r54_past_timestamps
        r65_two_projects
        p38_acl_write
        p38b_acl_during_load
        p39_acl_read
        p40_not_enough_replicas
        p45_deleted_under_reader
        p48_large_messages
        p49_log_append_time
        p50_pipeline_copy
        p52_existing_topic
        s_denied_as_expected
        s_existing_topic
        s_group_members
        s_group_state
        s_topic_settings
        u_network_cut
        u_short_pause
        v01_deleted_before_read
        v02_segments_gone
        v03b_at_most_once_reads_nothing
        v04_class_disables_guarantee
        v05_second_sender_unjudged
        v06_topic_recreated
        v10_hanging_transaction
        v11_fenced
        v12_retries_duplicate
        v14_log_truncated
        v15_overlapping_cuts
        v18_crash_unasked
        v20_guarantee_without_reader
        v20b_guarantee_without_reader
        v21_lag_recovery
        v22_until_count_of_different
        v23b_lag_of_no_group
        v24_two_senders_one_skipped
        v24b_sender_skipped_delivery_alone
        v25_frozen_generator
        v26_faults_on_nobody
        v28_retried_expect
        v29_daemon_keeps_pipe
        v30_keys_of_many_types
        v43_deleted_while_away
        v44_two_members_two_steps
        v44c_two_members_two_steps
        v50_results_disk_full
        v51b_two_at_once
        v53_reader_at_the_end
        v56_wiped
        v60a_empty_predicate
        v60b_percent
        v60c_minmax
        v60d_neg
        v60e_lists
        v60f_lists2
        v60g_nosteps
        v60h_guarantee_no_reader
        v60i_guarantee_nothing
        v60j_expect_none
        v60k_during
        v60l_count
        v60m_guarantee_partial
        v60n_mods
        v60o_bounds
        v64_count_never_comes
        v69_dead_stack
        v71_pipeline_same_keys
        v72_guarantee_elsewhere
    ;
    slow:
        c_another_cluster
        c_cut
        c_cut_from_brokers
        c_cut_from_clients
        c_cut_two
        c_killed_by_another_hand
        c_one_container_twice
        c_out_of_memory
        c_removed_by_another_hand
        c_woken_by_another_hand
        k07_retention_by_another_hand
        k22_connect_dies_unasked
        k26_cut_inside_a_delay
        k30_during_a_fault_that_never_was
        k31_pauses_in_each_other
        k41_pauses_of_nobody
        k43_static_members_of_the_new_protocol
        k45_paused_for_a_moment
        k46_two_of_three_cut_off
        k47_static_member_killed_in_the_new_protocol
        k50_idle_members_of_the_new_protocol
        k51_offsets_of_a_connector_reset
        k52_columns_change_while_rows_flow
        k53_rows_before_a_connector_without_snapshot
        k55_recreated_under_a_committed_reader
        k62_writer_that_no_check_names
        k94_count_behind_an_open_transaction
        k97_a_count_that_strangers_have
        p01_toast
        p12_no_key_full
        p13_key_update
        p15_add_column
        p17_upper_case_table
        p18_truncate
        p19_create_and_fill
        p20_created_while_streaming
        p22_all_types
        p23_incremental_snapshot
        p24_big_transaction
        p37_quota
        p42_many_partitions
        p43_many_members
        p44_compression
        p46_no_offsets_topic
        p51_auto_created
        p61_leaf_partitions
        r02_decimal_string
        r04_time_key
        r05_unwrap
        r06_routed_topic
        r06b_routed_topic_beside_another
        r07_routed_topic_fine
        r08_skipped_deletes
        r09_masked_columns
        r10_partition_root
        r11_no_key_insert_only
        r11b_no_key_beside_another
        r14_rename_key_column
        r16_odd_table_names
        r22b_old_date
        r25_outbox
        r30_static_members
        r31_static_member_alone
        r32_kip848
        r33_recreated_topic
        r34_recreated_topic_group
        r36_compacted
        r47_poll_interval
        r55_lag_after_transactions
        r62_added_partitions
        r62b_added_partitions_unread
        r63_long_names
        r64_slot_lag
        s_new_group_protocol
        u_cdc_paused_and_restarted
        u_connect_dead
        u_connect_dead_later
        u_group_of_three
        u_killed_reader
        u_killed_reader_checked_late
        u_search_under_a_quota
        v03_at_most_once_reads_nothing
        v07_partitions_added
        v09_offsets_reset
        v17_dies_while_paused
        v18b_crash_unasked_kept
        v19_fault_before_and_after_load
        v21b_lag_recovery
        v23_group_nowhere
        v25b_frozen_generator
        v27_cut_of_the_dead
        v31_changes_of_all_kinds
        v32_outside_writers
        v35_unwrapped
        v36_two_connectors
        v37_incremental_snapshot
        v38_slot_invalidated
        v39_unaccounted_table
        v40_killed_at_nasty_instants
        v42_short_faults
        v44b_two_members_two_steps
        v45_unclean_election
        v46_many_partitions
        v47_killed_member_at_the_end
        v48_compacted
        v49_starved
        v51a_two_at_once
        v54_millions_deleted
        v55_connector_paused_twice
        v57_unknown_outcomes
        v61_woken_for_good
        v62_other_forms
        v66_retried_sql
        v67_unclean_names
        v68_millions_in_three_copies
        v70_kill_inside_pause
    ;
}

#[test]
fn the_index_the_files_and_the_tests_are_the_same() {
    let index = index::Index::load();
    index::compare_with_files(&index);
    let listed: Vec<_> = QUICK.iter().map(|name| (*name, false)).chain(SLOW.iter().map(|name| (*name, true))).collect();
    for (key, case) in &index.cases {
        let name = index::test_name(key);
        assert!(
            listed.contains(&(name.as_str(), case.slow)),
            "{key} has no test: add {name} to the {} ones in tests/it/cases.rs",
            if case.slow { "slow" } else { "quick" }
        );
    }
    assert_eq!(listed.len(), index.cases.len(), "a test in tests/it/cases.rs has no entry in tests/cases/cases.yaml");
}
