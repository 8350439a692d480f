/* SPDX-License-Identifier: ISC */
/* doctor_agent: checks of what the agent tells of itself, its files and its disks. */
#ifndef MORTISE_CLI_DOCTOR_AGENT_H
#define MORTISE_CLI_DOCTOR_AGENT_H

#include "doctor_say.h"

void doctor_anchor(struct doctor *doctor);
void doctor_audit(struct doctor *doctor);
void doctor_disks(struct doctor *doctor);
void doctor_files(struct doctor *doctor);
void doctor_kernel(struct doctor *doctor);
void doctor_memory(struct doctor *doctor);
void doctor_rekey(struct doctor *doctor);
void doctor_state(struct doctor *doctor);
void doctor_hygiene(struct doctor *doctor);

#endif
