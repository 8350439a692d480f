/* SPDX-License-Identifier: ISC */
/* policy_check: what makes a rule or a credential complete. Private to policy_parse.c. */
#ifndef MORTISE_POLICY_CHECK_H
#define MORTISE_POLICY_CHECK_H

#include "policy_values.h"

enum mortise_status policy_check_rule(const struct draft *draft, struct inifile_error *error)
	MUST_USE;
enum mortise_status policy_check_credential(const struct draft *draft, struct inifile_error *error)
	MUST_USE;

#endif
