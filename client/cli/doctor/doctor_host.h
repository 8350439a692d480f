/* SPDX-License-Identifier: ISC */
/*
 * doctor_host: checks of this host: its clock, the configuration, the units and the policy for
 * them.
 */
#ifndef MORTISE_CLI_DOCTOR_HOST_H
#define MORTISE_CLI_DOCTOR_HOST_H

#include "doctor_say.h"

void doctor_clock(struct doctor *doctor);
void doctor_config(struct doctor *doctor);
void doctor_policy(struct doctor *doctor);
void doctor_units(struct doctor *doctor);

#endif
