/* SPDX-License-Identifier: ISC */
/*
 * pin_flag: an empty file that is there for as long as a slot waits for its PIN, so that a unit of
 * systemd (mortise-ask-pin.path) can ask for it with a right that the agent has not.
 * The directory is the service manager's to make and, when the agent has ended, to remove.
 */
#ifndef MORTISE_PIN_FLAG_H
#define MORTISE_PIN_FLAG_H

#include <stdbool.h>

#include "status.h"

#define PIN_FLAG_NAME "waits-for-pin"

/* Makes or removes it; it may be so already. directory NULL: nothing to do. MORTISE_IO, errno. */
enum mortise_status pin_flag_set(const char *directory, bool is_up) MUST_USE;

#endif
