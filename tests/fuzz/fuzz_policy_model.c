/* SPDX-License-Identifier: ISC */
/* Bytes as a case of policy_cases.h: policy and model never disagree. */
#include <stdlib.h>

#include "../policy_cases.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	policy_cases_begin();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct policy_case_counts counts = {0};

	if (!policy_case_agrees(bytes, size, &counts))
		abort();
	return 0;
}
