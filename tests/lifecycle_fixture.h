/* SPDX-License-Identifier: ISC */
/* Keepers that are initialised, with a sealer that plays what a test wants. */
#ifndef MORTISE_LIFECYCLE_FIXTURE_H
#define MORTISE_LIFECYCLE_FIXTURE_H

#include "keeper_fixture.h"

int set_up_hardware(void **state);
int set_up_without_anchor(void **state);
/* Restarts the keeper in front of another sealer, to which it turns by itself. */
void restart_before(struct keeper_fixture *fixture,
	void (*play)(struct keeper_fixture *fixture, const struct wire_message *request));
void play_absence(struct keeper_fixture *fixture, const struct wire_message *request);
void begin_init(struct asker *asker);
uint16_t ask_seal(struct keeper_fixture *fixture, bool until_boot);

#define WITHOUT_ANCHOR(name)                                                                       \
	cmocka_unit_test_setup_teardown(name, set_up_without_anchor, tear_down_keeper)
#define WITH_HARDWARE(name) cmocka_unit_test_setup_teardown(name, set_up_hardware, tear_down_keeper)

#endif
