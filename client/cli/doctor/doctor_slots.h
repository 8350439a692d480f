/* SPDX-License-Identifier: ISC */
/* doctor_slots: checks of the slots and of the hardware behind them. */
#ifndef MORTISE_CLI_DOCTOR_SLOTS_H
#define MORTISE_CLI_DOCTOR_SLOTS_H

#include "doctor_say.h"

void doctor_slots(struct doctor *doctor);

#endif
