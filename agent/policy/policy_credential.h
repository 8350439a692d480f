/* SPDX-License-Identifier: ISC */
/* policy_credential: [credential] sections as a whole. Private to policy_compile.c. */
#ifndef MORTISE_POLICY_CREDENTIAL_H
#define MORTISE_POLICY_CREDENTIAL_H

#include "policy_rules.h"

/* MORTISE_REJECTED if two would answer for one id, unit and user: order means nothing. */
enum mortise_status credential_check_all(
	const struct policy *policy, struct policy_error *out_error) MUST_USE;

#endif
