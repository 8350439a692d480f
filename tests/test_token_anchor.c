/* SPDX-License-Identifier: ISC */
/* The anchor: a counter in the TPM's NV memory, and what it costs in one run with an unseal. */
#include <stdio.h>
#include <string.h>

#include "mortise_test.h"
#include "tpm2_blob.h"
#include "tpm_slot.h"

#define FIRST "0x1836D00"

static uint8_t auth_bytes[KEY_SIZE] = "an authorisation with end zero"; /* and two zeros */

struct placed {
	uint8_t place[TOKEN_BLOB_MAX];
	size_t size;
	uint64_t counter;
};

static void start_or_skip(struct tpm_fixture *tpm)
{
	if (!tpm_start(tpm))
		skip();
}

static enum token_fault ask_in(struct token_run *run, enum token_anchor_action action,
	struct placed *placed, uint64_t expected)
{
	CLEANUP(secret_drop) struct secret *auth = NULL;
	struct token_anchor anchor = {.action = action, .expected = expected};
	struct token_result result = {0};
	enum mortise_status status;

	assert_int_equal(secret_copy(auth_bytes, KEY_SIZE, &auth), MORTISE_OK);
	anchor.auth = auth;
	if (action != TOKEN_ANCHOR_DEFINE)
		anchor.place = (struct token_bytes){placed->place, placed->size};
	status = token_tpm2.anchor(run, &anchor, &result);
	memcpy(slot_detail, result.failure.detail, sizeof slot_detail);
	if (status == MORTISE_OK) {
		placed->counter = result.counter;
		if (action == TOKEN_ANCHOR_DEFINE) {
			assert_true(result.blob_size > 0);
			memcpy(placed->place, result.blob, result.blob_size);
			placed->size = result.blob_size;
		}
		return TOKEN_FAULT_NONE;
	}
	assert_int_equal(status, MORTISE_HARDWARE);
	assert_int_equal(result.blob_size, 0);
	assert_int_equal(result.counter, 0);
	assert_true(result.failure.detail[0] != '\0');
	return result.failure.fault;
}

static enum token_fault ask(
	const char *tcti, enum token_anchor_action action, struct placed *placed, uint64_t expected)
{
	struct token_run run = {.options = slot_options(tcti)};
	enum token_fault fault = ask_in(&run, action, placed, expected);

	token_tpm2.end(&run);
	return fault;
}

static void a_counter_is_defined_read_counted_up_and_removed(void **state)
{
	struct tpm_fixture tpm;
	struct placed placed;
	uint64_t first;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	first = placed.counter;
	assert_true(first > 0);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NONE);
	assert_int_equal(placed.counter, first);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_INCREMENT, &placed, first + i),
			TOKEN_FAULT_NONE);
		assert_int_equal(placed.counter, first + i + 1);
		assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NONE);
		assert_int_equal(placed.counter, first + i + 1);
	}
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_REMOVE, &placed, 0), TOKEN_FAULT_NONE);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NO_COUNTER);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_REMOVE, &placed, 0), TOKEN_FAULT_NO_COUNTER);
	assert_nothing_is_left(&tpm);
	assert_int_equal(
		tpm_shell(&tpm, tpm.tcti, "test -z \"$(tpm2_getcap handles-nv-index)\""), 0);
	tpm_stop(&tpm);
}

static void an_increment_from_another_count_is_refused(void **state)
{
	struct tpm_fixture tpm;
	struct tap_fixture tap;
	struct placed placed;
	uint64_t first;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	first = placed.counter;
	tap_start(&tpm, "other-count", 0, 0, &tap);
	assert_int_equal(
		ask(tap.tcti, TOKEN_ANCHOR_INCREMENT, &placed, first + 1), TOKEN_FAULT_OTHER_COUNT);
	assert_non_null(strstr(slot_detail, "the counter stands at"));
	assert_int_equal(
		ask(tap.tcti, TOKEN_ANCHOR_INCREMENT, &placed, first - 1), TOKEN_FAULT_OTHER_COUNT);
	tap_stop(&tap);
	assert_int_equal(tap_count_of(&tap, "NV_Increment"), 0);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NONE);
	assert_int_equal(placed.counter, first);
	tpm_stop(&tpm);
}

static void tpm2_tools_see_the_counters_attributes(void **state)
{
	struct tpm_fixture tpm;
	struct placed placed;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti,
				 "test \"$(tpm2_getcap handles-nv-index)\" = '- " FIRST "'"),
		0);
	assert_int_equal(
		tpm_shell(&tpm, tpm.tcti,
			"tpm2_nvreadpublic " FIRST " >public && grep -q 'friendly: "
			"authwrite|nt=0x1|authread|no_da|written' public && grep -q 'size: 8' "
			"public"),
		0);
	/* Not without the authorisation. */
	assert_int_not_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_nvread " FIRST " 2>/dev/null >&2"), 0);
	assert_int_not_equal(
		tpm_shell(&tpm, tpm.tcti, "tpm2_nvincrement -C o " FIRST " 2>/dev/null"), 0);
	tpm_stop(&tpm);
}

static void a_counter_that_was_removed_and_made_again_is_not_accepted(void **state)
{
	struct tpm_fixture tpm;
	struct placed placed, again;
	uint64_t count;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	count = placed.counter;
	/* By another, with a password of its own. */
	assert_int_equal(tpm_shell(&tpm, tpm.tcti,
				 "tpm2_nvundefine -C o " FIRST " && "
				 "tpm2_nvdefine -C o -s 8 -p other "
				 "-a 'nt=counter|authread|authwrite|no_da' " FIRST " >/dev/null && "
				 "tpm2_nvincrement -P other " FIRST),
		0);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NO_COUNTER);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_REMOVE, &placed, 0), TOKEN_FAULT_NO_COUNTER);
	/* The control: it is still there. */
	assert_int_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_nvundefine -C o " FIRST), 0);
	/* By us, with the same authorisation at the same place: it stands higher. */
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &again, 0), TOKEN_FAULT_NONE);
	assert_memory_equal(again.place, placed.place, placed.size);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NONE);
	assert_true(placed.counter > count);
	assert_int_equal(
		ask(tpm.tcti, TOKEN_ANCHOR_INCREMENT, &placed, count), TOKEN_FAULT_OTHER_COUNT);
	tpm_stop(&tpm);
}

static void an_index_of_another_kind_in_its_place_is_not_accepted(void **state)
{
	static const char *const attributes[] = {
		"ownerread|ownerwrite|authread|authwrite|no_da", "authread|authwrite|nt=counter"};
	struct tpm_fixture tpm;
	struct placed placed;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
		char script[512];

		/* It even knows the authorisation. */
		snprintf(script, sizeof script,
			"tpm2_nvundefine -C o " FIRST
			" && tpm2_nvdefine -C o -s 8 -p '%.30s' -a '%s' " FIRST " >/dev/null",
			(const char *)auth_bytes, attributes[i]);
		assert_int_equal(tpm_shell(&tpm, tpm.tcti, script), 0);
		assert_int_equal(
			ask(tpm.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NO_COUNTER);
	}
	tpm_stop(&tpm);
}

static void counters_get_handles_that_nobody_has(void **state)
{
	struct tpm_fixture tpm;
	struct placed a, b, c;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti,
				 "{ tpm2_nvdefine -C o -s 8 0x1836d00 && "
				 "tpm2_nvdefine -C o -s 8 0x1836d02 && "
				 "tpm2_nvdefine -C o -s 8 0x1800001; } >/dev/null"),
		0);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &a, 0), TOKEN_FAULT_NONE);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &b, 0), TOKEN_FAULT_NONE);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &c, 0), TOKEN_FAULT_NONE);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti,
				 "test \"$(echo $(tpm2_getcap handles-nv-index))\" = '- 0x1800001 "
				 "- 0x1836D00 - 0x1836D01 - 0x1836D02 - 0x1836D03 - 0x1836D04'"),
		0);
	tpm_stop(&tpm);
}

static void an_owner_with_a_password_is_named(void **state)
{
	struct tpm_fixture tpm;
	struct placed placed, other;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_changeauth -c owner word"), 0);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &other, 0), TOKEN_FAULT_OWNER_AUTH);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_REMOVE, &placed, 0), TOKEN_FAULT_OWNER_AUTH);
	/* What is there serves without the owner. */
	assert_int_equal(
		ask(tpm.tcti, TOKEN_ANCHOR_INCREMENT, &placed, placed.counter), TOKEN_FAULT_NONE);
	assert_nothing_is_left(&tpm);
	tpm_stop(&tpm);
}

static void a_full_nv_memory_is_named_at_once(void **state)
{
	struct tpm_fixture tpm;
	struct tap_fixture tap;
	struct placed placed;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti,
				 "i=0; while tpm2_nvdefine -C o -s 2048 $((0x1810000 + i)); do "
				 "i=$((i + 1)); done >/dev/null 2>&1\n"
				 "while tpm2_nvdefine -C o -s 8 -a 'nt=counter|authread|authwrite' "
				 "$((0x1820000 + i)); do i=$((i + 1)); done >/dev/null 2>&1; true"),
		0);
	tap_start(&tpm, "full", 0, 0, &tap);
	assert_int_equal(ask(tap.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_FULL);
	tap_stop(&tap);
	assert_non_null(strstr(slot_detail, "NV space"));
	assert_int_equal(tap_count_of(&tap, "NV_DefineSpace"), 1);
	tpm_stop(&tpm);
}

static void the_257th_counter_is_named_as_one_too_many(void **state)
{
	struct tpm_fixture tpm;
	struct placed placed;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti,
				 "for i in $(seq 0 255); do tpm2_nvdefine -C o -s 1 "
				 "$((0x1836d00 + i)) >/dev/null || exit 1; done"),
		0);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_FULL);
	assert_string_equal(
		slot_detail, "no free handle for a counter in 0x01836d00 to 0x01836dff");
	assert_int_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_nvundefine -C o 0x1836dff"), 0);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	tpm_stop(&tpm);
}

static void a_tpm_that_spares_its_nv_memory_is_asked_again(void **state)
{
	struct tpm_fixture tpm;
	struct tap_fixture tap;
	struct placed placed;
	uint64_t first;

	(void)state;
	start_or_skip(&tpm);
	tap_start_for(&tpm, "rate", TPM2_RC_NV_RATE, 3, TPM2_CC_NV_Increment, &tap);
	assert_int_equal(ask(tap.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	tap_stop(&tap);
	assert_int_equal(tap_count_of(&tap, "NV_Increment"), 4);
	/* The first attempt's definition served the others. */
	assert_int_equal(tap_count_of(&tap, "NV_DefineSpace"), 1);
	tap_start_for(&tpm, "rate1", TPM2_RC_NV_RATE, 3, TPM2_CC_NV_Read, &tap);
	assert_int_equal(ask(tap.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	tap_stop(&tap);
	assert_int_equal(tap_count_of(&tap, "NV_Increment"), 1);
	assert_int_equal(tap_count_of(&tap, "NV_DefineSpace"), 1);
	first = placed.counter;
	tap_start_for(&tpm, "rate2", TPM2_RC_NV_UNAVAILABLE, 2, TPM2_CC_NV_Increment, &tap);
	assert_int_equal(ask(tap.tcti, TOKEN_ANCHOR_INCREMENT, &placed, first), TOKEN_FAULT_NONE);
	tap_stop(&tap);
	assert_int_equal(placed.counter, first + 1);
	assert_nothing_is_left(&tpm);
	tpm_stop(&tpm);
}

static void a_cleared_tpm_and_another_one_are_named(void **state)
{
	struct tpm_fixture tpm, other;
	struct placed placed, others;

	(void)state;
	start_or_skip(&tpm);
	start_or_skip(&other);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	assert_int_equal(ask(other.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NO_SRK);
	assert_int_equal(ask(other.tcti, TOKEN_ANCHOR_DEFINE, &others, 0), TOKEN_FAULT_NONE);
	assert_int_equal(ask(other.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_OTHER_SRK);
	assert_int_equal(tpm_shell(&tpm, tpm.tcti, "tpm2_clear"), 0);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NO_SRK);
	tpm_stop(&other);
	tpm_stop(&tpm);
}

/* What was confirmed for one key does not hold for a place that names another. */
static void a_run_deals_with_one_srk(void **state)
{
	struct tpm_fixture tpm, other;
	struct placed placed, others;
	struct token_run run;

	(void)state;
	start_or_skip(&tpm);
	start_or_skip(&other);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	assert_int_equal(ask(other.tcti, TOKEN_ANCHOR_DEFINE, &others, 0), TOKEN_FAULT_NONE);
	run = (struct token_run){.options = slot_options(tpm.tcti)};
	assert_int_equal(ask_in(&run, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NONE);
	assert_int_equal(ask_in(&run, TOKEN_ANCHOR_READ, &others, 0), TOKEN_FAULT_OTHER_SRK);
	token_tpm2.end(&run);
	assert_nothing_is_left(&tpm);
	tpm_stop(&other);
	tpm_stop(&tpm);
}

static void a_place_that_is_not_one_of_ours_is_refused_unread(void **state)
{
	struct tpm_fixture tpm;
	struct tap_fixture tap;
	struct placed placed, wrong;
	unsigned handle_bytes = 0;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(ask(tpm.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	tap_start(&tpm, "place", 0, 0, &tap);
	for (size_t size = 0; size < placed.size; size++) {
		wrong = placed;
		wrong.size = size;
		assert_int_equal(
			ask(tap.tcti, TOKEN_ANCHOR_READ, &wrong, 0), TOKEN_FAULT_MALFORMED);
	}
	/* Version, sizes, attributes: everything before the SRK but the handle's last byte. */
	for (size_t i = 0; i < 18; i++) {
		wrong = placed;
		wrong.place[i] ^= 0x40;
		if (ask(tap.tcti, TOKEN_ANCHOR_READ, &wrong, 0) != TOKEN_FAULT_MALFORMED)
			handle_bytes++;
	}
	assert_int_equal(handle_bytes, 1);
	tap_stop(&tap);
	tpm_stop(&tpm);
}

/* An unseal and its anchor in one run; the commands it took. */
static unsigned cost(struct tpm_fixture *tpm, const struct token_wish *wish, const char *name)
{
	struct token_options options = slot_options(tpm->tcti);
	CLEANUP(secret_drop) struct secret *h = NULL;
	uint8_t blob[TOKEN_BLOB_MAX];
	struct token_opening opening = {.blob = {blob, 0}, .pin = wish->pin};
	struct token_result result = {0};
	struct token_run run = {0};
	struct tap_fixture tap;
	struct placed placed;

	assert_int_equal(
		slot_enrol_wish(&options, wish, blob, &opening.blob.size, &h), TOKEN_FAULT_NONE);
	assert_int_equal(ask(tpm->tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	tap_start(tpm, name, 0, 0, &tap);
	run.options = slot_options(tap.tcti);
	assert_int_equal(token_tpm2.open(&run, &opening, &result), MORTISE_OK);
	assert_int_equal(ask_in(&run, TOKEN_ANCHOR_READ, &placed, 0), TOKEN_FAULT_NONE);
	token_tpm2.end(&run);
	tap_stop(&tap);
	assert_true(secret_equals(result.h, h));
	secret_drop(&result.h);
	return tap_count(&tap);
}

static void an_unseal_and_its_anchor_cost_seven_commands_and_nine_with_pcrs(void **state)
{
	struct tpm_fixture tpm;
	CLEANUP(secret_drop) struct secret *pin = NULL;
	const struct token_wish plain = {0}, pcrs = {.pcrs = 1u << 7};
	struct token_wish wish;

	(void)state;
	start_or_skip(&tpm);
	assert_int_equal(secret_copy("1234", 4, &pin), MORTISE_OK);
	assert_int_equal(cost(&tpm, &plain, "plain"), 7);
	assert_int_equal(cost(&tpm, &pcrs, "pcrs"), 9);
	wish = (struct token_wish){.pin = pin};
	assert_int_equal(cost(&tpm, &wish, "pin"), 7);
	wish.pcrs = 1u << 7;
	assert_int_equal(cost(&tpm, &wish, "both"), 10);
	assert_nothing_is_left(&tpm);
	tpm_stop(&tpm);
}

static void no_capture_shows_the_counters_authorisation(void **state)
{
	struct tpm_fixture tpm;
	struct tap_fixture tap;
	struct placed placed;

	(void)state;
	start_or_skip(&tpm);
	tap_start(&tpm, "anchor-sniff", 0, 0, &tap);
	assert_int_equal(ask(tap.tcti, TOKEN_ANCHOR_DEFINE, &placed, 0), TOKEN_FAULT_NONE);
	assert_int_equal(
		ask(tap.tcti, TOKEN_ANCHOR_INCREMENT, &placed, placed.counter), TOKEN_FAULT_NONE);
	assert_int_equal(ask(tap.tcti, TOKEN_ANCHOR_REMOVE, &placed, 0), TOKEN_FAULT_NONE);
	/* The control. */
	assert_int_equal(
		tpm_shell(&tpm, tap.tcti,
			"tpm2_nvdefine -C o -s 8 -p 'shown in clear' 0x1800001 >/dev/null"),
		0);
	tap_stop(&tap);
	assert_true(tap_has(&tap, (const uint8_t *)"shown in clear", 14));
	for (size_t at = 0; at + 8 <= 30; at += 8)
		assert_false(tap_has(&tap, auth_bytes + at, 8));
	tpm_stop(&tpm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_counter_is_defined_read_counted_up_and_removed),
		cmocka_unit_test(an_increment_from_another_count_is_refused),
		cmocka_unit_test(tpm2_tools_see_the_counters_attributes),
		cmocka_unit_test(a_counter_that_was_removed_and_made_again_is_not_accepted),
		cmocka_unit_test(an_index_of_another_kind_in_its_place_is_not_accepted),
		cmocka_unit_test(counters_get_handles_that_nobody_has),
		cmocka_unit_test(an_owner_with_a_password_is_named),
		cmocka_unit_test(a_full_nv_memory_is_named_at_once),
		cmocka_unit_test(the_257th_counter_is_named_as_one_too_many),
		cmocka_unit_test(a_tpm_that_spares_its_nv_memory_is_asked_again),
		cmocka_unit_test(a_cleared_tpm_and_another_one_are_named),
		cmocka_unit_test(a_run_deals_with_one_srk),
		cmocka_unit_test(a_place_that_is_not_one_of_ours_is_refused_unread),
		cmocka_unit_test(an_unseal_and_its_anchor_cost_seven_commands_and_nine_with_pcrs),
		cmocka_unit_test(no_capture_shows_the_counters_authorisation),
	};

	return cmocka_run_group_tests(tests, slot_set_up, slot_tear_down);
}
