/* SPDX-License-Identifier: ISC */
#include "lifecycle_fixture.h"

int set_up_hardware(void **state)
{
	if (set_up_keeper(state) != 0)
		return -1;
	struct asker *asker = asker_open(*state);
	assert_int_equal(ask_init(*state, asker, "tpm2"), MORTISE_OK);
	asker_close(asker);
	return 0;
}

int set_up_without_anchor(void **state)
{
	if (set_up_keeper(state) != 0)
		return -1;
	struct asker *asker = asker_open(*state);
	struct wire_writer *writer = asker_begin(asker, WIRE_INIT);
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, "tpm2");
	wire_put_number(writer, WIRE_TAG_COUNTER, 0);
	assert_int_equal(ask_init_begun(*state, asker), MORTISE_OK);
	asker_close(asker);
	return 0;
}

void restart_before(struct keeper_fixture *fixture,
	void (*play)(struct keeper_fixture *fixture, const struct wire_message *request))
{
	fixture->play = play;
	fixture->questions = 0;
	keeper_restart(fixture);
}

void play_absence(struct keeper_fixture *fixture, const struct wire_message *request)
{
	(void)request;
	keeper_fail_sealer(fixture, TOKEN_FAULT_ABSENT, "");
}

void begin_init(struct asker *asker)
{
	wire_put_text(asker_begin(asker, WIRE_INIT), WIRE_TAG_SLOT_KIND, "tpm2");
}

uint16_t ask_seal(struct keeper_fixture *fixture, bool until_boot)
{
	struct asker *asker = asker_open(fixture);
	struct wire_writer *writer = asker_begin(asker, WIRE_SEAL);

	if (until_boot)
		wire_put_number(writer, WIRE_TAG_UNTIL_BOOT, 1);
	uint16_t code = asker_call(fixture, asker);
	asker_close(asker);
	return code;
}
