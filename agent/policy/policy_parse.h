/* SPDX-License-Identifier: ISC */
/* policy_parse: what makes a rule, a credential or a quota complete. Private to this folder. */
#ifndef MORTISE_POLICY_PARSE_H
#define MORTISE_POLICY_PARSE_H

#include "policy_values.h"

typedef enum mortise_status policy_check_draft(
	const struct draft *draft, struct inifile_error *error) MUST_USE;

policy_check_draft policy_check_rule, policy_check_credential, policy_check_quota;

#endif
