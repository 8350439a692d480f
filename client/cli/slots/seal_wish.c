/* SPDX-License-Identifier: ISC */
#include "seal_wish.h"
#include "slot_kinds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "typed.h"

#define PCR_LAST 23

static bool parse_pcrs(const char *text, uint64_t *out_pcrs)
{
	uint64_t pcrs = 0;

	for (const char *at = text; *at != '\0';) {
		char *end;
		unsigned long number = strtoul(at, &end, 10);

		if (*at < '0' || *at > '9' || number > PCR_LAST || (*end != ',' && *end != '\0') ||
			(*end == ',' && end[1] == '\0'))
			return false;
		pcrs |= (uint64_t)1 << number;
		at = *end == ',' ? end + 1 : end;
	}
	*out_pcrs = pcrs;
	return pcrs != 0;
}

/* It would go over the socket, and into a process that has no use for it. */
static bool has_private_key(const struct input *file)
{
	static const char mark[] = "PRIVATE KEY-----";

	return memmem(file->bytes, file->size, mark, sizeof mark - 1) != NULL;
}

static int read_pcr_key(const struct cli *cli, const char *name, struct seal_wish *wish)
{
	enum mortise_status status;

	wish->pcr_key = input_new();
	if (!wish->pcr_key)
		return output_fail(cli, MORTISE_IO, "out of memory");
	status = input_read(name, wish->pcr_key);
	if (status == MORTISE_IO)
		return output_fail(
			cli, status, "cannot read the PCR key from %s: %s", name, strerror(errno));
	if (status == MORTISE_OK && wish->pcr_key->size > 0) {
		if (!has_private_key(wish->pcr_key))
			return CLI_DONE;
		return output_fail(cli, MORTISE_INVALID,
			"%s is a private key; give its public half: openssl pkey -in %s -pubout",
			name, name);
	}
	return output_fail(cli, MORTISE_INVALID,
		"%s is no public key; one is made by: openssl pkey -in KEY -pubout", name);
}

static int read_pin(const struct cli *cli, const char *option, struct seal_wish *wish)
{
	wish->pin = input_new();
	if (!wish->pin)
		return output_fail(cli, MORTISE_IO, "out of memory");
	return typed_pin(cli, option, "new PIN", strcmp(option, "tpm2-pin-file") == 0, wish->pin);
}

int seal_wish_kind(const struct cli *cli, const char **out_kind)
{
	const char *found = args_has(cli, "no-hardware") ? "none" : NULL;

	for (size_t i = 0; slot_kind_at(i); i++) {
		const struct slot_kind *kind = slot_kind_at(i);

		if (!kind->is_hardware || !args_has(cli, kind->option))
			continue;
		if (found)
			return output_fail(cli, MORTISE_INVALID,
				"either --tpm2, --pkcs11=URI or --no-hardware");
		found = kind->name;
	}
	*out_kind = found != NULL ? found : SLOT_KIND_TPM2;
	return CLI_DONE;
}

int seal_wish_read(const struct cli *cli, const char *kind, struct seal_wish *wish)
{
	const char *pcrs = args_value(cli, "pcrs"), *key = args_value(cli, "pcr-public-key");
	const struct slot_kind *row = slot_kind_of(kind);
	bool is_tpm = row && row->has_pcrs, is_token = row && row->has_uri;
	int ending = CLI_DONE;

	wish->kind = kind;
	wish->uri = is_token ? args_value(cli, row->option) : NULL;
	if (!is_tpm && (pcrs || key || args_has(cli, "tpm2-pin-file")))
		return output_fail(cli, MORTISE_INVALID,
			"--pcrs, --pcr-public-key and --tpm2-pin-file are for a TPM slot");
	if (!is_token && args_has(cli, "pin-file"))
		return output_fail(cli, MORTISE_INVALID,
			"--pin-file is for --pkcs11; a TPM's is --tpm2-pin-file");
	if (pcrs && !parse_pcrs(pcrs, &wish->pcrs))
		return output_fail(cli, MORTISE_INVALID,
			"--pcrs=%s: PCRs are numbers from 0 to 23, like 7,11", pcrs);
	if (key)
		ending = read_pcr_key(cli, key, wish);
	if (ending == CLI_DONE && row && row->pin_option && args_has(cli, row->pin_option))
		ending = read_pin(cli, row->pin_option, wish);
	return ending;
}

void seal_wish_done(struct seal_wish *wish)
{
	input_free(&wish->pin);
	input_free(&wish->pcr_key);
}

void seal_wish_put(const struct cli *cli, const struct seal_wish *wish, struct wire_writer *writer)
{
	wire_put_text(writer, WIRE_TAG_SLOT_KIND, wish->kind);
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	if (wish->pin)
		wire_put(writer, WIRE_TAG_PIN, wish->pin->bytes, wish->pin->size);
	if (wish->uri)
		wire_put_text(writer, WIRE_TAG_URI, wish->uri);
	if (wish->pcrs != 0)
		wire_put_number(writer, WIRE_TAG_PCRS, wish->pcrs);
	if (wish->pcr_key)
		wire_put(writer, WIRE_TAG_PUBLIC_KEY, wish->pcr_key->bytes, wish->pcr_key->size);
}

void seal_wish_put_anchor(const struct cli *cli, struct wire_writer *writer)
{
	if (args_has(cli, "no-anchor"))
		wire_put_number(writer, WIRE_TAG_COUNTER, 0);
}

void seal_weak_binding(const json_t *facts, char *text, size_t size)
{
	const char *pcrs = json_string_value(json_object_get(facts, "idle_pcrs"));
	bool is_unbound = json_integer_value(json_object_get(facts, "unbound")) != 0;

	text[0] = '\0';
	if (pcrs)
		(void)snprintf(text, size,
			"nothing was measured into PCR %s, which binds it to nothing%s", pcrs,
			is_unbound
				? ": any system that is booted on this machine can unseal the store"
				: "; what else it is bound to counts");
}

void seal_weak_root(const json_t *facts, char *text, size_t size)
{
	bool counts = json_integer_value(json_object_get(facts, "srk_counts_tries")) != 0;

	(void)snprintf(text, size, "%s",
		counts ? "the TPM's storage root key has no noDA: power cuts count as wrong "
			 "passwords, "
			 "and a few of them lock it for a while"
		       : "");
}

void seal_wish_warn(struct cli *cli, uint64_t slot)
{
	json_t *facts = json_object();
	struct wire_message reply;
	char text[256];

	wire_put_number(client_begin(cli->agent, WIRE_DOCTOR), WIRE_TAG_NUMBER, slot);
	if (facts && client_call(cli->agent, &reply) == MORTISE_OK &&
		ask_put_facts(wire_list_of(&reply, WIRE_TAG_ITEMS), facts)) {
		seal_weak_binding(facts, text, sizeof text);
		if (text[0] != '\0')
			output_note("slot %llu: %s; " SEAL_REBIND, (unsigned long long)slot, text);
		seal_weak_root(facts, text, sizeof text);
		if (text[0] != '\0')
			output_note("slot %llu: %s; " SEAL_REPLACE_ROOT, (unsigned long long)slot,
				text);
	}
	json_decref(facts);
}
