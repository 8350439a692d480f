/* SPDX-License-Identifier: ISC */
/* Each way to the master key: does it open, as it will have to at the next boot? */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "doctor_slots.h"
#include "progress.h"
#include "seal_wish.h"
#include "slot_list.h"
#include "typed.h"
#include "when.h"

#define HARDWARE_DEADLINE_MS 120000 /* as slow as the hardware may be */
#define HARDWARE_WAIT_MS     5000   /* while it is asked something else */

struct hardware {
	const struct slot_line *line;
	json_t *facts; /* what it says of itself */
	char title[64];
	bool is_locked, is_last_try, wants_pin;
};

static bool is_set(const struct hardware *hardware, const char *name)
{
	uint64_t number = 0;

	return doctor_number(hardware->facts, name, &number) && number != 0;
}

static enum mortise_status call(struct doctor *doctor, struct wire_message *out_reply)
{
	struct cli *cli = doctor->cli;
	int wait_ms = cli->wait_ms > HARDWARE_WAIT_MS ? cli->wait_ms : HARDWARE_WAIT_MS;

	mortise_set_deadline(cli->agent, HARDWARE_DEADLINE_MS, wait_ms);
	enum mortise_status status = client_call(cli->agent, out_reply);
	mortise_set_deadline(cli->agent, CLIENT_DEADLINE_MS, cli->wait_ms);
	return status;
}

/* ---- what the hardware says of itself ---- */

static bool ask_health(struct doctor *doctor, struct hardware *hardware)
{
	struct mortise *agent = doctor->cli->agent;
	struct wire_message reply;

	wire_put_number(client_begin(agent, WIRE_DOCTOR), WIRE_TAG_NUMBER, hardware->line->id);
	if (call(doctor, &reply) == MORTISE_OK &&
		ask_put_facts(wire_list_of(&reply, WIRE_TAG_ITEMS), hardware->facts))
		return true;
	doctor_repeat(doctor, DOCTOR_WARNING, hardware->title, mortise_message(agent));
	return false;
}

static void check_tries(struct doctor *doctor, const struct hardware *hardware)
{
	uint64_t failed = 0, most = 0, back_s = 0;
	char remedy[160], count[80] = "";

	(void)doctor_number(hardware->facts, "tries_failed", &failed);
	(void)doctor_number(hardware->facts, "tries_max", &most);
	(void)doctor_number(hardware->facts, "try_back_s", &back_s);
	if (most > 0)
		(void)snprintf(count, sizeof count, " (%llu of %llu wrong tries)",
			(unsigned long long)failed, (unsigned long long)most);
	if (slot_is_tpm(hardware->line))
		(void)snprintf(remedy, sizeof remedy,
			"wait (each %llu s gives a try back), or tpm2_dictionarylockout "
			"--clear-lockout",
			(unsigned long long)back_s);
	else
		(void)snprintf(remedy, sizeof remedy, "the token's security officer unlocks it");
	if (hardware->is_locked)
		doctor_say(doctor, hardware->wants_pin ? DOCTOR_WRONG : DOCTOR_NOTE, remedy,
			"%sit is locked and accepts no PIN%s%s", hardware->title, count,
			hardware->wants_pin ? "" : "; this slot needs none");
	else if (hardware->is_last_try)
		doctor_say(doctor, DOCTOR_WARNING, remedy, "%sthe next wrong PIN locks it%s",
			hardware->title, count);
	else if (is_set(hardware, "tries_low"))
		doctor_say(doctor, DOCTOR_NOTE, NULL, "%swrong PINs were tried%s", hardware->title,
			count);
	else if (most > 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "%sits lockout counter stands at 0 of %llu",
			hardware->title, (unsigned long long)most);
}

static void check_owner(struct doctor *doctor, const struct hardware *hardware)
{
	if (!slot_is_tpm(hardware->line))
		return;
	if (is_set(hardware, "owner_disabled"))
		doctor_say(doctor, DOCTOR_WARNING, "enable it in the firmware's setup",
			"%sthe TPM's owner hierarchy is disabled: no new slot or anchor can be "
			"made",
			hardware->title);
	else if (is_set(hardware, "owner_auth"))
		doctor_say(doctor, DOCTOR_NOTE, NULL,
			"%sthe TPM's owner has a password: what opens goes on to open, but no "
			"anchor can be made",
			hardware->title);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%sthe TPM's owner has no password",
			hardware->title);
	if (!is_set(hardware, "lockout_auth"))
		doctor_say(doctor, DOCTOR_OK, NULL,
			"%sthe TPM's lockout has no password: who may use the TPM may clear it",
			hardware->title);
}

static void check_weakness(struct doctor *doctor, const struct hardware *hardware)
{
	char text[256];

	seal_weak_binding(hardware->facts, text, sizeof text);
	if (text[0] != '\0')
		doctor_say(doctor, DOCTOR_WARNING, SEAL_REBIND, "%s%s", hardware->title, text);
	seal_weak_root(hardware->facts, text, sizeof text);
	if (text[0] != '\0')
		doctor_say(
			doctor, DOCTOR_WARNING, SEAL_REPLACE_ROOT, "%s%s", hardware->title, text);
}

/* ---- does it open? ---- */

static void tell_shut(struct doctor *doctor, const struct hardware *hardware, const char *said)
{
	char before[96];

	(void)snprintf(before, sizeof before, "%sit does not open: ", hardware->title);
	doctor_repeat(doctor, DOCTOR_WRONG, before, said);
}

/* False: there is none to be had, and nothing is tried. */
static bool get_pin(struct doctor *doctor, const struct hardware *hardware, struct input *pin)
{
	char prompt[80];

	(void)snprintf(
		prompt, sizeof prompt, "PIN of slot %llu", (unsigned long long)hardware->line->id);
	if (!doctor->cli->is_json && isatty(STDIN_FILENO) &&
		typed_pin(doctor->cli, NULL, prompt, false, pin) == CLI_DONE)
		return true;
	doctor_say(doctor, DOCTOR_WARNING, NULL,
		"%sit was not tried: its PIN is asked for on a terminal", hardware->title);
	return false;
}

static void try_slot(struct doctor *doctor, const struct hardware *hardware)
{
	CLEANUP(input_free) struct input *pin = input_new();
	bool is_typed = hardware->line->pin[0] != '\0';
	struct wire_message reply;

	if (!pin || (is_typed && !get_pin(doctor, hardware, pin)))
		return;
	struct wire_writer *writer = client_begin(doctor->cli->agent, WIRE_SLOT_TEST);
	wire_put_number(writer, WIRE_TAG_NUMBER, hardware->line->id);
	if (is_typed)
		wire_put(writer, WIRE_TAG_PIN, pin->bytes, pin->size);
	enum mortise_status status = call(doctor, &reply);
	if (status == MORTISE_OK)
		doctor_say(doctor, DOCTOR_OK, NULL, "%sit opens", hardware->title);
	else if (status == MORTISE_HARDWARE || status == MORTISE_INTEGRITY)
		tell_shut(doctor, hardware, mortise_message(doctor->cli->agent));
	else
		doctor_repeat(doctor, DOCTOR_WARNING, hardware->title,
			mortise_message(doctor->cli->agent));
}

static void check_opening(struct doctor *doctor, const struct hardware *hardware)
{
	if (!hardware->wants_pin)
		try_slot(doctor, hardware);
	else if (hardware->is_locked || hardware->is_last_try)
		doctor_say(doctor, DOCTOR_NOTE, NULL,
			"%sit was not tried, so that its PIN is not locked", hardware->title);
	else if (args_has(doctor->cli, "pins"))
		try_slot(doctor, hardware);
	else
		doctor_say(doctor, DOCTOR_NOTE, "mortise doctor --pins",
			"%sit has a PIN and was not tried", hardware->title);
}

static void check_hardware(struct doctor *doctor, const struct slot_line *line)
{
	struct hardware hardware = {.line = line, .facts = json_object()};
	const char *fault;

	(void)snprintf(hardware.title, sizeof hardware.title,
		"slot %llu (%s): ", (unsigned long long)line->id, line->kind);
	if (hardware.facts && ask_health(doctor, &hardware)) {
		hardware.is_locked = is_set(&hardware, "locked");
		hardware.is_last_try = is_set(&hardware, "last_try");
		hardware.wants_pin = is_set(&hardware, "wants_pin");
		fault = doctor_text(hardware.facts, "fault");
		if (fault)
			tell_shut(doctor, &hardware, fault);
		if (is_set(&hardware, "pin_failed"))
			doctor_say(doctor, DOCTOR_WRONG,
				"mend [pkcs11] pin-file, then mortise seal and mortise unseal",
				"%sits PIN failed, and is not tried again by itself",
				hardware.title);
		if (!fault) {
			check_tries(doctor, &hardware);
			check_owner(doctor, &hardware);
			check_weakness(doctor, &hardware);
			check_opening(doctor, &hardware);
		}
	}
	json_decref(hardware.facts);
}

/* ---- what is typed, and what is missing ---- */

static void check_typed(struct doctor *doctor, const struct slot_line *line)
{
	char remedy[80];

	(void)snprintf(remedy, sizeof remedy, "mortise slot test %llu --recovery-file=F",
		(unsigned long long)line->id);
	if (strcmp(line->kind, "escrow") == 0 || line->tested_us > 0 || line->opened_us > 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "slot %llu (%s): key id %s",
			(unsigned long long)line->id, line->kind, line->key_id);
	else
		doctor_say(doctor, DOCTOR_WARNING, remedy,
			"slot %llu (%s): nobody has ever tested that key %s opens it",
			(unsigned long long)line->id, line->kind, line->key_id);
}

static void check_passing(struct doctor *doctor, const struct slot_line *line)
{
	char until[WHEN_TEXT_SIZE], remedy[80];

	if (strcmp(line->state, "stand-in") != 0)
		return;
	when_format_local(line->ends_us, until);
	(void)snprintf(
		remedy, sizeof remedy, "mortise slot reseal %llu", (unsigned long long)line->of);
	doctor_say(doctor, DOCTOR_NOTE, remedy,
		"slot %llu is suspended: whatever is booted can unseal, until %s",
		(unsigned long long)line->of, until);
}

static void check_sorts(struct doctor *doctor, const struct slot_list *slots)
{
	size_t typed = 0, hardware = 0, with_pin = 0;

	for (size_t i = 0; i < slots->count; i++) {
		const struct slot_line *line = &slots->lines[i];

		typed += slot_is_typed(line);
		hardware += slot_is_hardware(line);
		with_pin += slot_is_hardware(line) && line->pin[0] != '\0';
	}
	if (typed == 0)
		doctor_say(doctor, DOCTOR_WARNING, "mortise slot add --recovery --recovery-file=F",
			"there is no recovery key: if the hardware fails, all is lost");
	if (hardware == 0)
		doctor_say(doctor, DOCTOR_WARNING, "mortise slot add --tpm2",
			"there is no hardware slot: a boot waits for a key that is typed");
	else if (with_pin == hardware)
		doctor_say(doctor, DOCTOR_NOTE, NULL, "a boot waits for a PIN that is typed");
}

/* What was resealed and has not opened at an unseal yet. */
static const struct slot_line *find_staged(
	const struct slot_list *slots, const struct slot_line *line)
{
	for (size_t i = 0; i < slots->count; i++)
		if (slots->lines[i].of == line->id && strcmp(slots->lines[i].state, "staged") == 0)
			return &slots->lines[i];
	return NULL;
}

static void check_slot(
	struct doctor *doctor, const struct slot_list *slots, const struct slot_line *line)
{
	const struct slot_line *staged = find_staged(slots, line);

	if (slot_is_typed(line))
		check_typed(doctor, line);
	else if (!slot_is_hardware(line))
		check_passing(doctor, line);
	else if (!args_has(doctor->cli, "quick"))
		check_hardware(doctor, staged ? staged : line);
}

void doctor_slots(struct doctor *doctor)
{
	struct progress progress = progress_begin();
	struct slot_list slots;

	if (slot_list_ask(doctor->cli, &slots) != MORTISE_OK) {
		doctor_repeat(doctor, DOCTOR_WARNING,
			"they could not be listed: ", mortise_message(doctor->cli->agent));
		return;
	}
	for (size_t i = 0; i < slots.count; i++) {
		progress_show(&progress, "slot %llu", (unsigned long long)slots.lines[i].id);
		check_slot(doctor, &slots, &slots.lines[i]);
	}
	progress_clear(&progress);
	check_sorts(doctor, &slots);
}
