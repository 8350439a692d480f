/* SPDX-License-Identifier: ISC */
/* advice: each operation and fault has one, whole, and never what cannot work there. */
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "mortise_test.h"

static const char *advise(enum advice_operation operation, enum token_fault fault)
{
	static char text[ADVICE_SIZE];
	struct advice_about about = {.operation = operation, .slot = 7, .has_anchor = true};

	advice_write(&about, fault, text, sizeof text);
	return text;
}

static void each_operation_and_fault_has_a_whole_advice(void **state)
{
	(void)state;
	for (int operation = 0; operation < ADVICE_OPERATIONS; operation++)
		for (int fault = 0; fault <= TOKEN_FAULT_COUNT; fault++) {
			const char *text =
				advise((enum advice_operation)operation, (enum token_fault)fault);

			assert_true(strlen(text) > 8 && strlen(text) < ADVICE_SIZE - 1);
			assert_null(strchr(text, '%'));
		}
}

static bool tells(enum advice_operation operation, enum token_fault fault, const char *part)
{
	return strstr(advise(operation, fault), part) != NULL;
}

static void without_a_store_nobody_is_sent_to_recover_or_unseal_one(void **state)
{
	(void)state;
	for (int fault = 0; fault < TOKEN_FAULT_COUNT; fault++)
		for (int i = 0; i < 2; i++) {
			enum advice_operation init = i ? ADVICE_INIT_COUNTER : ADVICE_INIT;

			if (fault == TOKEN_FAULT_NO_COUNTER || fault == TOKEN_FAULT_OTHER_COUNT)
				continue; /* of a store that there is */
			assert_false(tells(init, (enum token_fault)fault, "mortise recover"));
			assert_false(tells(init, (enum token_fault)fault, "unseal"));
		}
}

static void hardware_that_is_of_no_use_has_a_way_around_it(void **state)
{
	(void)state;
	assert_true(tells(ADVICE_UNSEAL, TOKEN_FAULT_ABSENT, "mortise recover --no-hardware"));
	assert_true(tells(ADVICE_AGE, TOKEN_FAULT_ABSENT, "mortise recover --no-hardware"));
	assert_true(tells(ADVICE_INIT, TOKEN_FAULT_ABSENT, "mortise init --no-hardware"));
	assert_true(tells(ADVICE_RECOVER, TOKEN_FAULT_ABSENT, "mortise recover --no-hardware"));
	assert_false(tells(ADVICE_MAKE, TOKEN_FAULT_ABSENT, "mortise "));
	assert_true(tells(ADVICE_INIT_COUNTER, TOKEN_FAULT_OWNER_AUTH, "init --no-anchor"));
	assert_true(tells(ADVICE_RECOVER_COUNTER, TOKEN_FAULT_FULL, "recover --no-anchor"));
}

static void a_slot_that_can_be_sealed_anew_is_named(void **state)
{
	struct advice_about about = {.operation = ADVICE_TEST, .slot = 7};
	char text[ADVICE_SIZE];

	(void)state;
	assert_true(tells(ADVICE_UNSEAL, TOKEN_FAULT_OTHER_PCRS, "then: mortise slot reseal 7"));
	assert_true(tells(ADVICE_TEST, TOKEN_FAULT_OTHER_PCRS, "mortise slot reseal 7"));
	assert_true(tells(ADVICE_TEST, TOKEN_FAULT_NO_SRK, "mortise seal, then: mortise recover"));
	advice_write(&about, TOKEN_FAULT_NO_SRK, text, sizeof text);
	assert_non_null(strstr(text, "mortise slot reseal 7"));
}

static void a_long_detail_is_cut_and_the_advice_is_not(void **state)
{
	struct advice_about about = {.operation = ADVICE_UNSEAL, .slot = 7};
	struct sealer_answer answer = {.status = MORTISE_HARDWARE, .fault = TOKEN_FAULT_UNFIT_SRK};
	char text[400], whole[ADVICE_SIZE];

	(void)state;
	memset(answer.detail, 'd', sizeof answer.detail - 1);
	advice_describe(&about, &answer, text, sizeof text);
	advice_write(&about, TOKEN_FAULT_UNFIT_SRK, whole, sizeof whole);
	assert_string_equal(text + strlen(text) - strlen(whole), whole);
	assert_non_null(strstr(text, " (dddd"));
	answer.status = MORTISE_BUSY;
	advice_describe(&about, &answer, text, sizeof text);
	assert_non_null(strstr(text, "; try again"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operation_and_fault_has_a_whole_advice),
		cmocka_unit_test(without_a_store_nobody_is_sent_to_recover_or_unseal_one),
		cmocka_unit_test(hardware_that_is_of_no_use_has_a_way_around_it),
		cmocka_unit_test(a_slot_that_can_be_sealed_anew_is_named),
		cmocka_unit_test(a_long_detail_is_cut_and_the_advice_is_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
