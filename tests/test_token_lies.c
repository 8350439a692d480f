/* SPDX-License-Identifier: ISC */
/*
 * test_token_lies [ROUNDS [SEED]]
 * A TPM whose answers are changed on the way (tpm_lie.h): an operation fails with a fault, or it
 * succeeds and is right; nothing crashes, reads beyond, or leaks. A hundred rounds by default;
 * for long: MORTISE_TEST_SOURCE=. MORTISE_TEST_BUILD=build/sanitized/tests \
 *	build/sanitized/tests/test_token_lies 100000 $RANDOM
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mortise_test.h"
#include "tpm_slot.h"

#define DEADLINE_MS 50

static unsigned long rounds = 100, seed = 1;
static unsigned long seen[TOKEN_FAULT_COUNT];

struct sealed {
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t size;
	struct secret *h;
	const struct secret *pin;
};

static struct token_options options_at(const char *tcti)
{
	struct token_options options = slot_options(tcti);

	options.deadline_ms = DEADLINE_MS;
	return options;
}

/* What a lie about a handle left in the TPM is in nobody's notes. */
static void count(enum token_fault fault)
{
	assert_in_range(fault, 0, TOKEN_FAULT_COUNT - 1);
	seen[fault]++;
	if (fault == TOKEN_FAULT_FULL)
		assert_int_equal(tpm_shell(&slot.tpm, slot.tpm.tcti,
					 "tpm2_flushcontext -t && tpm2_flushcontext -l"),
			0);
}

static void try_open(const char *tcti, const struct sealed *sealed)
{
	const struct token_options options = options_at(tcti);
	CLEANUP(secret_drop) struct secret *h = NULL;
	enum token_fault fault =
		slot_open_pin(&options, sealed->blob, sealed->size, sealed->pin, &h);

	if (fault == TOKEN_FAULT_NONE)
		assert_true(secret_equals(h, sealed->h));
	count(fault);
}

/* What was enrolled through lies and is said to work does work without them. */
static void try_enrol(const char *tcti, uint32_t pcrs)
{
	const struct token_options options = options_at(tcti), honest = slot_options(slot.tpm.tcti);
	const struct token_wish wish = {.pcrs = pcrs};
	CLEANUP(secret_drop) struct secret *h = NULL;
	CLEANUP(secret_drop) struct secret *again = NULL;
	uint8_t blob[TOKEN_BLOB_MAX];
	size_t size;
	enum token_fault fault = slot_enrol_wish(&options, &wish, blob, &size, &h);

	count(fault);
	if (fault != TOKEN_FAULT_NONE)
		return;
	fault = slot_try_open(&honest, blob, size, &again);
	count(fault);
	if (fault != TOKEN_FAULT_FULL) {
		assert_int_equal(fault, TOKEN_FAULT_NONE);
		assert_true(secret_equals(h, again));
	}
}

struct counter {
	uint8_t place[TOKEN_BLOB_MAX];
	size_t size;
	struct secret *auth;
	uint64_t least; /* it was there */
};

static void try_count(const char *tcti, enum token_anchor_action action, struct counter *counter)
{
	struct token_run run = {.options = options_at(tcti)};
	const struct token_anchor anchor = {.action = action,
		.auth = counter->auth,
		.place = {counter->place, action == TOKEN_ANCHOR_DEFINE ? 0 : counter->size},
		.expected = counter->least};
	struct token_result result = {0};
	enum mortise_status status = token_tpm2.anchor(&run, &anchor, &result);

	token_tpm2.end(&run);
	if (status != MORTISE_OK) {
		assert_int_equal(status, MORTISE_HARDWARE);
		assert_true(result.failure.detail[0] != '\0');
		count(result.failure.fault);
		return;
	}
	if (action == TOKEN_ANCHOR_DEFINE) {
		memcpy(counter->place, result.blob, result.blob_size);
		counter->size = result.blob_size;
	} else if (action == TOKEN_ANCHOR_INCREMENT) {
		assert_int_equal(result.counter, counter->least + 1);
	} else {
		/* An increment may have happened though its answer was lost. */
		assert_true(result.counter >= counter->least);
	}
	counter->least = result.counter;
	count(TOKEN_FAULT_NONE);
}

static void prepare(struct sealed *sealed, const struct secret *pin, uint32_t pcrs)
{
	const struct token_options options = slot_options(slot.tpm.tcti);
	const struct token_wish wish = {.pin = pin, .pcrs = pcrs};

	sealed->pin = pin;
	assert_int_equal(slot_enrol_wish(&options, &wish, sealed->blob, &sealed->size, &sealed->h),
		TOKEN_FAULT_NONE);
}

static void tell(void)
{
	for (int fault = 0; fault < TOKEN_FAULT_COUNT; fault++) {
		if (seen[fault] > 0)
			printf("# %6lu: %s\n", seen[fault],
				token_fault_text((enum token_fault)fault));
	}
}

static void whatever_the_tpm_answers_it_is_a_fault_or_right(void **state)
{
	CLEANUP(secret_drop) struct secret *pin = NULL;
	struct sealed plain, guarded;
	struct counter counter = {0};
	struct tap_fixture tap;

	(void)state;
	if (!slot.is_there)
		skip();
	/* A lie about a nonce counts as a wrong PIN. */
	assert_int_equal(tpm_shell(&slot.tpm, slot.tpm.tcti,
				 "tpm2_dictionarylockout -s -n 4000000000 -t 1 -l 1 && "
				 "tpm2_flushcontext -t"),
		0);
	assert_int_equal(secret_copy("1234", 4, &pin), MORTISE_OK);
	assert_int_equal(secret_random(KEY_SIZE, &counter.auth), MORTISE_OK);
	prepare(&plain, NULL, 0);
	prepare(&guarded, pin, 1u << 7);
	try_count(slot.tpm.tcti, TOKEN_ANCHOR_DEFINE, &counter);
	tap_start_lying(&slot.tpm, "lies", seed, &tap);
	for (unsigned long i = 0; i < rounds; i++) {
		try_open(tap.tcti, &plain);
		try_open(tap.tcti, &guarded);
		try_count(tap.tcti, TOKEN_ANCHOR_READ, &counter);
		try_count(tap.tcti, TOKEN_ANCHOR_INCREMENT, &counter);
		if (i % 4 == 0)
			try_enrol(tap.tcti, i % 8 == 0 ? 0 : 1u << 7);
	}
	tap_stop(&tap);
	tell();
	/* The control: lies were told, and not only they. */
	assert_true(seen[TOKEN_FAULT_MALFORMED] > 0 && seen[TOKEN_FAULT_NONE] > rounds / 4);
	enum token_fault fault = slot_open_at(slot.tpm.tcti);
	count(fault); /* what the last of the lies left there is gone now */
	if (fault == TOKEN_FAULT_FULL)
		fault = slot_open_at(slot.tpm.tcti);
	assert_int_equal(fault, TOKEN_FAULT_NONE);
	secret_drop(&plain.h);
	secret_drop(&guarded.h);
	secret_drop(&counter.auth);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_the_tpm_answers_it_is_a_fault_or_right),
	};

	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 10);
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, slot_set_up, slot_tear_down);
}
