/* SPDX-License-Identifier: ISC */
/*
 * Slots of a whole keeper. The sealer is a small TPM in this test: it knows PINs and one PCR, and
 * it can lie or die at any question.
 */
#ifndef MORTISE_SLOTS_FIXTURE_H
#define MORTISE_SLOTS_FIXTURE_H

#include "keeper_fixture.h"
#include "slot_work.h"
#include "slots.h"

#define SEALS_MAX 64
#define PCR_7     (1u << 7)

struct seal {
	uint8_t h[KEY_SIZE];
	char pin[TOKEN_PIN_MAX + 1];
	uint64_t pcrs;
	unsigned pcr_value;
};

extern struct fake_tpm {
	struct seal seals[SEALS_MAX];
	size_t count;
	unsigned pcr_value;
	unsigned opened, wrong_pins; /* questions */
	unsigned dies_at;            /* of all questions from now on; 0: never */
	bool lies;
} fake_tpm;

struct asking {
	uint64_t slot, pcrs, boots, threshold;
	const char *kind, *pin, *uri, *recovery, *half;
	bool is_dry_run;
};

#define ASK(opcode, ...) slots_ask(fixture, asker, opcode, &(struct asking){__VA_ARGS__})

void text_of(const struct wire_message *request, unsigned tag, char *text, size_t size);
void play_silence_behind_health(struct keeper_fixture *fixture, const struct wire_message *request);
/* As the TPM answers. */
void play_tpm(struct keeper_fixture *fixture, const struct wire_message *request);
/* A store with a recovery key, and a TPM without seals. */
int set_up_slots(void **state);
uint16_t slots_ask(struct keeper_fixture *fixture, struct asker *asker, uint16_t opcode,
	const struct asking *asking);
/* Must succeed; the slot that was made. */
uint64_t slots_made(struct asker *asker, uint16_t code);
/* The list as "1 recovery ready, 2 tpm2 staged of 1". */
void assert_slots(struct keeper_fixture *fixture, const char *expected);
uint16_t slots_seal(struct keeper_fixture *fixture, struct asker *asker);

#define WITH_SLOTS(test) cmocka_unit_test_setup_teardown(test, set_up_slots, tear_down_keeper)

#endif
