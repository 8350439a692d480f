/* SPDX-License-Identifier: ISC */
#include "slots_fixture.h"

struct fake_tpm fake_tpm;

void text_of(const struct wire_message *request, unsigned tag, char *text, size_t size)
{
	if (!wire_has(request, tag) || wire_text(request, tag, text, size) != MORTISE_OK)
		text[0] = '\0';
}

static void seal_anew(struct keeper_fixture *fixture, const struct wire_message *request)
{
	struct seal *seal = &fake_tpm.seals[fake_tpm.count];
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);
	uint8_t blob = (uint8_t)fake_tpm.count++;

	assert_true(fake_tpm.count < SEALS_MAX);
	memset(seal->h, 0x40 + blob, sizeof seal->h);
	text_of(request, PROCESS_TAG_PIN, seal->pin, sizeof seal->pin);
	if (wire_has(request, PROCESS_TAG_PCRS))
		assert_int_equal(wire_number(request, PROCESS_TAG_PCRS, &seal->pcrs), MORTISE_OK);
	seal->pcr_value = fake_tpm.pcr_value;
	if (wire_has(request, PROCESS_TAG_URI))
		wire_put_text(writer, PROCESS_TAG_URI, "pkcs11:token=t?module-path=/m.so");
	wire_put(writer, PROCESS_TAG_KEY, seal->h, sizeof seal->h);
	wire_put(writer, PROCESS_TAG_BLOB, &blob, 1);
	keeper_send_sealer(fixture, writer);
}

static void open_seal(struct keeper_fixture *fixture, const struct wire_message *request)
{
	const struct seal *seal =
		&fake_tpm.seals[wire_field_of(request, PROCESS_TAG_BLOB)->bytes[0]];
	char pin[TOKEN_PIN_MAX + 1];

	fake_tpm.opened++;
	text_of(request, PROCESS_TAG_PIN, pin, sizeof pin);
	if (seal->pcrs && seal->pcr_value != fake_tpm.pcr_value) {
		keeper_fail_sealer(fixture, TOKEN_FAULT_OTHER_PCRS, "");
	} else if (strcmp(seal->pin, pin) != 0) {
		fake_tpm.wrong_pins++;
		keeper_fail_sealer(fixture, TOKEN_FAULT_WRONG_PIN, "");
	} else {
		struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);
		uint8_t h[KEY_SIZE];
		memcpy(h, seal->h, sizeof h);
		h[0] ^= fake_tpm.lies;
		wire_put(writer, PROCESS_TAG_KEY, h, sizeof h);
		keeper_send_sealer(fixture, writer);
	}
}

static void play_health(struct keeper_fixture *fixture)
{
	struct wire_writer *writer = keeper_begin_sealer(MORTISE_OK);

	wire_put_number(writer, PROCESS_TAG_NUMBER, 0);
	wire_put(writer, PROCESS_TAG_IDS, (uint8_t[4 * HEALTH_IDS]){0}, 4 * HEALTH_IDS);
	keeper_send_sealer(fixture, writer);
}

void play_silence_behind_health(struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (request->code == SEALER_HEALTH)
		play_health(fixture);
}

void play_tpm(struct keeper_fixture *fixture, const struct wire_message *request)
{
	if (fake_tpm.dies_at && --fake_tpm.dies_at == 0)
		play_death(fixture, request);
	else if (request->code == SEALER_ENROL)
		seal_anew(fixture, request);
	else if (request->code == SEALER_HEALTH)
		play_health(fixture);
	else
		open_seal(fixture, request);
}

int set_up_slots(void **state)
{
	memset(&fake_tpm, 0, sizeof fake_tpm);
	if (set_up_store(state) != 0)
		return -1;
	((struct keeper_fixture *)*state)->play = play_tpm;
	return 0;
}

/* ---- asking ---- */

uint16_t slots_ask(struct keeper_fixture *fixture, struct asker *asker, uint16_t opcode,
	const struct asking *asking)
{
	struct wire_writer *writer = asker_begin(asker, opcode);

	if (asking->slot)
		wire_put_number(writer, WIRE_TAG_NUMBER, asking->slot);
	if (asking->recovery)
		wire_put_text(writer, WIRE_TAG_RECOVERY, asking->recovery);
	if (asking->kind)
		wire_put_text(writer, WIRE_TAG_SLOT_KIND, asking->kind);
	if (asking->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (asking->pin)
		wire_put_text(writer, WIRE_TAG_PIN, asking->pin);
	if (asking->uri)
		wire_put_text(writer, WIRE_TAG_URI, asking->uri);
	if (asking->pcrs)
		wire_put_number(writer, WIRE_TAG_PCRS, asking->pcrs);
	if (asking->half)
		wire_put_text(writer, WIRE_TAG_PUBLIC_KEY, asking->half);
	if (asking->threshold)
		wire_put_number(writer, WIRE_TAG_THRESHOLD, asking->threshold);
	if (asking->boots)
		wire_put_number(writer, WIRE_TAG_BOOTS, asking->boots);
	return asker_call(fixture, asker);
}

uint64_t slots_made(struct asker *asker, uint16_t code)
{
	uint64_t id = 0;

	if (code != MORTISE_OK)
		fail_msg("status %u: %s", code, asker->text);
	assert_int_equal(wire_number(&asker->reply, WIRE_TAG_NUMBER, &id), MORTISE_OK);
	return id;
}

void assert_slots(struct keeper_fixture *fixture, const char *expected)
{
	struct asker *asker = asker_open(fixture);
	char text[1024] = "", part[256];
	struct wire_field item, fact;

	assert_int_equal(ask_plain(fixture, asker, WIRE_SLOT_LIST), MORTISE_OK);
	struct wire_list list = wire_list_of(&asker->reply, WIRE_TAG_ITEMS);
	while (wire_list_next(&list, &item)) {
		struct wire_message slot, fields;
		char kind[32] = "", state[32] = "", name[32];
		uint64_t id = 0, of = 0;
		assert_int_equal(wire_parse_fields(item.bytes, item.size, &slot), MORTISE_OK);
		struct wire_list facts = wire_list_of(&slot, WIRE_TAG_ITEMS);
		while (wire_list_next(&facts, &fact)) {
			assert_int_equal(
				wire_parse_fields(fact.bytes, fact.size, &fields), MORTISE_OK);
			text_of(&fields, WIRE_TAG_NAME, name, sizeof name);
			if (strcmp(name, "kind") == 0)
				text_of(&fields, WIRE_TAG_TEXT, kind, sizeof kind);
			if (strcmp(name, "state") == 0)
				text_of(&fields, WIRE_TAG_TEXT, state, sizeof state);
			if (strcmp(name, "id") == 0)
				(void)!wire_number(&fields, WIRE_TAG_NUMBER, &id);
			if (strcmp(name, "of") == 0)
				(void)!wire_number(&fields, WIRE_TAG_NUMBER, &of);
		}
		snprintf(
			part, sizeof part, "%s%d %s %s", text[0] ? ", " : "", (int)id, kind, state);
		strncat(text, part, sizeof text - strlen(text) - 1);
		snprintf(part, sizeof part, " of %d", (int)of);
		if (of)
			strncat(text, part, sizeof text - strlen(text) - 1);
	}
	assert_string_equal(text, expected);
	asker_close(asker);
}

uint16_t slots_seal(struct keeper_fixture *fixture, struct asker *asker)
{
	return ask_plain(fixture, asker, WIRE_SEAL);
}
