/* SPDX-License-Identifier: ISC */
/*
 * policy_cases: random policies and questions, put to the policy and to the model of it.
 * Bytes choose among words that are right, nearly right and wrong, so that the same bytes are
 * the same case for the runner, the fuzzer and the corpus.
 */
#ifndef MORTISE_TESTS_POLICY_CASES_H
#define MORTISE_TESTS_POLICY_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_CASE_SIZE 512 /* bytes that a runner draws for a case */

struct policy_case_counts {
	unsigned long cases, policies, questions, allowed, denied_by_rule;
};

/* To be called once before: the zone of the cases. */
void policy_cases_begin(void);

/* false with an explanation on standard error if the two disagree. */
bool policy_case_agrees(const uint8_t *bytes, size_t size, struct policy_case_counts *counts);

#endif
