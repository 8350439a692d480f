/* SPDX-License-Identifier: ISC */
#include "advice.h"

#include <stdio.h>
#include <string.h>

#define ON(operation) (1u << ADVICE_##operation)
#define SEALED        (ON(UNSEAL) | ON(AGE))
#define INITS         (ON(INIT) | ON(INIT_COUNTER))
#define RECOVERS      (ON(RECOVER) | ON(RECOVER_COUNTER))
#define MAKES         (INITS | RECOVERS | ON(MAKE))
#define COUNTERS      (ON(INIT_COUNTER) | ON(RECOVER_COUNTER))

/* The ways around hardware that is shut; NULL: the store is open, and none is needed. */
static const char *const ways[ADVICE_OPERATIONS] = {
	[ADVICE_UNSEAL] = "; if it stays so, run: mortise recover --no-hardware",
	[ADVICE_AGE] = "; if it stays so, run: mortise recover --no-hardware",
	[ADVICE_INIT] = "; or without it: mortise init --no-hardware",
	[ADVICE_INIT_COUNTER] = "; or without it: mortise init --no-hardware",
	[ADVICE_RECOVER] = "; or without it: mortise recover --no-hardware",
	[ADVICE_RECOVER_COUNTER] = "; or without it: mortise recover --no-hardware",
};

/* Where a fault's row does not say it; the first that fits counts. %s is the slot to reseal. */
static const struct {
	enum token_fault fault;
	unsigned operations;
	const char *text;
} others[] = {
	{TOKEN_FAULT_BUSY, ON(UNSEAL), "wait: the agent tries it again"},
	{TOKEN_FAULT_LOCKOUT, ON(UNSEAL),
		"wait until the lockout ends, or run: tpm2_dictionarylockout --clear-lockout, or "
		"have the token's security officer unlock it; or run: mortise unseal --recovery"},
	{TOKEN_FAULT_OWNER_AUTH, ON(INIT_COUNTER),
		"do without an anchor: mortise init --no-anchor"},
	{TOKEN_FAULT_OWNER_AUTH, ON(RECOVER_COUNTER),
		"do without an anchor: mortise recover --no-anchor"},
	{TOKEN_FAULT_FULL, ON(INIT_COUNTER),
		"remove NV indices that nobody needs (tpm2_nvreadpublic), or do without an anchor: "
		"mortise init --no-anchor"},
	{TOKEN_FAULT_FULL, ON(RECOVER_COUNTER),
		"remove NV indices that nobody needs (tpm2_nvreadpublic), or do without an anchor: "
		"mortise recover --no-anchor"},
	{TOKEN_FAULT_UNSUPPORTED, ON(INIT_COUNTER),
		"see the detail; or do without an anchor: mortise init --no-anchor"},
	{TOKEN_FAULT_UNSUPPORTED, ON(RECOVER_COUNTER),
		"see the detail; or do without an anchor: mortise recover --no-anchor"},
	{TOKEN_FAULT_NO_SRK, SEALED, "run: mortise recover, with the recovery key"},
	{TOKEN_FAULT_NO_SRK, ON(COUNT),
		"find out who did that, then run: mortise seal, then: mortise recover"},
	{TOKEN_FAULT_OTHER_SRK, ON(COUNT),
		"find out who did that, then run: mortise seal, then: mortise recover"},
	{TOKEN_FAULT_OTHER_SRK, SEALED,
		"find out who did that, then run: mortise recover, with the recovery key"},
	{TOKEN_FAULT_UNFIT_SRK, SEALED,
		"find out who put it there, then remove it: tpm2_evictcontrol -c 0x81000001, and "
		"run: mortise recover; or without it: mortise recover --no-hardware"},
	{TOKEN_FAULT_REFUSED, SEALED, "run: mortise recover, with the recovery key"},
	{TOKEN_FAULT_REFUSED, ON(TEST), "run: mortise slot reseal %s"},
	{TOKEN_FAULT_WRONG_PIN, ON(UNSEAL),
		"run: mortise unseal, with the right one or with [pkcs11] pin-file mended, or: "
		"mortise unseal --recovery"},
	{TOKEN_FAULT_NO_PIN, ON(UNSEAL),
		"set [pkcs11] pin-file in mortised.conf, or run: mortise unseal --recovery"},
	{TOKEN_FAULT_OTHER_PCRS, ON(UNSEAL),
		"run: mortise unseal --recovery, then: mortise slot reseal %s"},
	{TOKEN_FAULT_OTHER_PCRS, ON(TEST), "run: mortise slot reseal %s"},
	{TOKEN_FAULT_NO_SIGNATURE, ON(UNSEAL),
		"look for tpm2-pcr-signature.json of this kernel, or run: mortise unseal "
		"--recovery"},
	{TOKEN_FAULT_NO_SIGNATURE, ON(TEST), "look for tpm2-pcr-signature.json of this kernel"},
	{TOKEN_FAULT_NO_COUNTER, SEALED, "find out who removed it, then run: mortise recover"},
	{TOKEN_FAULT_OTHER_COUNT, ON(COUNT),
		"if a snapshot was put back, this is an old copy of the store: put the newest one "
		"back; else find out who counted it up, then run: mortise seal, then: mortise "
		"recover"},
	{TOKEN_FAULT_OTHER_COUNT, SEALED, "find out who counted it up, then run: mortise recover"},
	{TOKEN_FAULT_NO_COUNTER, COUNTERS, "try again"},
};

/* A cleared TPM, or another one, has lost its counter with its keys, or never had it. */
static const char *tell_foreign(const struct advice_about *about)
{
	if (about->has_anchor)
		return "find out who did that, then run: mortise seal, then: mortise recover";
	return "find out who did that, then run: mortise slot reseal %s";
}

/* A text that may have a %s in it; NULL: its row and ways say it. */
static const char *find(const struct advice_about *about, enum token_fault fault)
{
	if (about->operation == ADVICE_TEST &&
		(fault == TOKEN_FAULT_NO_SRK || fault == TOKEN_FAULT_OTHER_SRK))
		return tell_foreign(about);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (others[i].fault == fault && (others[i].operations & (1u << about->operation)))
			return others[i].text;
	return NULL;
}

static void fill_in(const char *text, uint64_t slot, char *buffer, size_t size)
{
	const char *place = strstr(text, "%s");

	if (!place)
		snprintf(buffer, size, "%s", text);
	else
		snprintf(buffer, size, "%.*s%llu%s", (int)(place - text), text,
			(unsigned long long)slot, place + 2);
}

void advice_write(
	const struct advice_about *about, enum token_fault fault, char *buffer, size_t size)
{
	const struct token_fault_row *row = token_fault_row(fault);
	const char *way = ways[about->operation], *text;

	text = find(about, fault);
	if (text)
		fill_in(text, about->slot, buffer, size);
	else
		snprintf(buffer, size, "%s%s", row->mend, row->is_shut && way ? way : "");
}

/* If something has to be cut, it is what the hardware said. */
void advice_describe(const struct advice_about *about, const struct sealer_answer *answer,
	char *buffer, size_t size)
{
	const char *what = token_fault_text(answer->fault), *detail = answer->detail;
	char next[ADVICE_SIZE];

	if (answer->status != MORTISE_HARDWARE) {
		snprintf(buffer, size, "the sealer could not be asked: %s; try again",
			mortise_status_text(answer->status));
		return;
	}
	advice_write(about, answer->fault, next, sizeof next);
	size_t needed = strlen(what) + strlen(next) + sizeof " (); ";
	int room = needed < size ? (int)(size - needed) : 0;
	snprintf(buffer, size, "%s%s%.*s%s; %s", what, detail[0] ? " (" : "", room, detail,
		detail[0] ? ")" : "", next);
}
