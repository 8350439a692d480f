/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lifecycle_parts.h"
#include "log.h"

#define RETRY_FIRST_MS 200u
#define RETRY_MAX_MS   30000u

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

enum lifecycle_state lifecycle_state(const struct lifecycle *lifecycle)
{
	return lifecycle->state;
}

const char *lifecycle_state_name(const struct lifecycle *lifecycle)
{
	static const char *const names[] = {"uninitialised", "sealed", "unsealing", "unsealed"};

	return names[lifecycle->state];
}

struct vault *lifecycle_vault(const struct lifecycle *lifecycle)
{
	return lifecycle->vault;
}

const char *lifecycle_reason(const struct lifecycle *lifecycle)
{
	return lifecycle->reason;
}

uint64_t lifecycle_since(const struct lifecycle *lifecycle)
{
	return lifecycle->since_us;
}

const char *lifecycle_recovery_id(const struct lifecycle *lifecycle)
{
	return lifecycle->recovery_id;
}

struct backup *lifecycle_backup(const struct lifecycle *lifecycle)
{
	return lifecycle->backup;
}

enum mortise_status lifecycle_copy(
	struct lifecycle *lifecycle, const void *owner, uint64_t *out_done, uint64_t *out_total)
{
	if (!lifecycle->vault)
		return MORTISE_SEALED;
	return backup_copy(lifecycle->backup, owner, lifecycle->store, out_done, out_total);
}

void lifecycle_set_state(struct lifecycle *lifecycle, enum lifecycle_state state)
{
	lifecycle->state = state;
	lifecycle->since_us = now_us();
	if (state == LIFECYCLE_UNSEALED)
		lifecycle->reason[0] = '\0';
	lifecycle->parts.hooks.changed(lifecycle->parts.hooks.context);
}

void lifecycle_explain(struct lifecycle *lifecycle, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(lifecycle->reason, sizeof lifecycle->reason, format, arguments);
	va_end(arguments);
	lifecycle->parts.hooks.changed(lifecycle->parts.hooks.context);
}

void lifecycle_finish(struct lifecycle *lifecycle, enum mortise_status status, const char *text,
	const struct secret *recovery)
{
	lifecycle_done *done = lifecycle->done;

	lifecycle->done = NULL;
	if (done)
		done(lifecycle->context, status, text, recovery);
}

void lifecycle_describe(const struct sealer_answer *answer, char *buffer, size_t size)
{
	if (answer->status != MORTISE_HARDWARE) {
		snprintf(buffer, size, "the sealer could not be asked: %s",
			mortise_status_text(answer->status));
		return;
	}
	snprintf(buffer, size, "%s%s%s%s; %s", token_fault_text(answer->fault),
		answer->detail[0] ? " (" : "", answer->detail, answer->detail[0] ? ")" : "",
		token_advice(answer->fault));
}

/* Keeps the vault only if what else is needed can be had from it. */
static enum mortise_status accept_vault(struct lifecycle *lifecycle, struct vault *vault)
{
	const char *reason = "the store cannot be used";
	enum mortise_status status =
		lifecycle->parts.hooks.opened(lifecycle->parts.hooks.context, vault, &reason);

	if (status != MORTISE_OK) {
		vault_close(vault);
		lifecycle_explain(lifecycle, "%s", reason);
		return status;
	}
	lifecycle->vault = vault;
	lifecycle->attempts = 0;
	lifecycle_set_state(lifecycle, LIFECYCLE_UNSEALED);
	return MORTISE_OK;
}

enum mortise_status lifecycle_open_with(
	struct lifecycle *lifecycle, const struct kept_slot *kept, const struct secret *h)
{
	CLEANUP(secret_drop) struct secret *master_key = NULL;
	struct vault *vault = NULL;
	struct slot slot = lifecycle_slot_of(kept);
	struct store_meta meta;

	TRY(store_meta(lifecycle->store, &meta));
	struct slot_identity identity = {meta.uuid, kept->id, meta.epoch};
	TRY(slot_open(&identity, &slot, h, &master_key));
	enum mortise_status status = vault_open(lifecycle->store, master_key, &vault);
	if (status != MORTISE_OK) {
		lifecycle_explain(lifecycle,
			"the store is not what mortise wrote last (%s): it was edited, damaged or "
			"mixed; restore it from a backup",
			status == MORTISE_INTEGRITY ? "the tally does not match"
						    : mortise_status_text(status));
		return status;
	}
	return accept_vault(lifecycle, vault);
}

static void ask_next_slot(struct lifecycle *lifecycle);

static void try_later(struct lifecycle *lifecycle)
{
	unsigned shift = lifecycle->attempts < 8 ? lifecycle->attempts : 8;
	unsigned delay_ms = RETRY_FIRST_MS << shift;
	struct timeval delay = {0};

	if (delay_ms > RETRY_MAX_MS)
		delay_ms = RETRY_MAX_MS;
	lifecycle->attempts++;
	delay.tv_sec = delay_ms / 1000;
	delay.tv_usec = delay_ms % 1000 * 1000;
	event_add(lifecycle->retry, &delay);
}

static void on_unsealed(struct lifecycle *lifecycle, enum mortise_status status)
{
	const struct lifecycle_hooks *hooks = &lifecycle->parts.hooks;

	if (status != MORTISE_OK)
		lifecycle_set_state(lifecycle, LIFECYCLE_SEALED);
	hooks->record(hooks->context, "unsealed", status, lifecycle->reason);
	lifecycle_finish(lifecycle, status, lifecycle->reason, NULL);
}

static void on_slot_answer(void *context, struct sealer_answer *answer)
{
	struct lifecycle *lifecycle = context;
	const struct kept_slot *kept = &lifecycle->slots[lifecycle->slot_asked];
	char text[400];

	if (lifecycle->state != LIFECYCLE_UNSEALING)
		return; /* opened by the recovery key meanwhile */
	if (answer->status == MORTISE_OK) {
		enum mortise_status status = lifecycle_open_with(lifecycle, kept, answer->h);
		if (status != MORTISE_OK && !lifecycle->reason[0])
			lifecycle_explain(lifecycle,
				"slot %llu opened, but does not belong to this store; run: mortise "
				"unseal --recovery (key id %s)",
				(unsigned long long)kept->id, lifecycle->recovery_id);
		on_unsealed(lifecycle, status);
		if (status == MORTISE_BUSY || status == MORTISE_IO)
			try_later(lifecycle);
		return;
	}
	lifecycle_describe(answer, text, sizeof text);
	lifecycle_explain(lifecycle, "slot %llu: %s", (unsigned long long)kept->id, text);
	bool passing = answer->status != MORTISE_HARDWARE || token_fault_is_passing(answer->fault);
	lifecycle->slot_asked++;
	ask_next_slot(lifecycle);
	if (lifecycle->state == LIFECYCLE_SEALED && passing)
		try_later(lifecycle);
}

/* Asks the hardware of the next slot that has any; without one, that is the end of it. */
static void ask_next_slot(struct lifecycle *lifecycle)
{
	for (; lifecycle->slot_asked < lifecycle->slot_count; lifecycle->slot_asked++) {
		const struct slot slot =
			lifecycle_slot_of(&lifecycle->slots[lifecycle->slot_asked]);
		if (strcmp(slot.kind, SLOT_KIND_RECOVERY) == 0)
			continue;
		if (sealer_open(lifecycle->parts.sealer, slot.kind, slot.blob, NULL, on_slot_answer,
			    lifecycle) == MORTISE_OK)
			return;
		lifecycle_explain(lifecycle, "no sealer could be started; it is tried again");
		on_unsealed(lifecycle, MORTISE_BUSY);
		try_later(lifecycle);
		return;
	}
	if (!lifecycle->reason[0])
		lifecycle_explain(lifecycle,
			"this store has no hardware slot; run: mortise unseal --recovery (key id "
			"%s)",
			lifecycle->recovery_id);
	on_unsealed(lifecycle, MORTISE_HARDWARE);
}

static void unseal_by_hardware(struct lifecycle *lifecycle)
{
	event_del(lifecycle->retry);
	lifecycle->slot_asked = 0;
	lifecycle->reason[0] = '\0';
	lifecycle_set_state(lifecycle, LIFECYCLE_UNSEALING);
	ask_next_slot(lifecycle);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct lifecycle *lifecycle = context;

	(void)fd;
	(void)what;
	if (lifecycle->state == LIFECYCLE_SEALED)
		unseal_by_hardware(lifecycle);
}

void lifecycle_start(struct lifecycle *lifecycle)
{
	if (lifecycle->state == LIFECYCLE_UNINITIALISED)
		return;
	if (lifecycle_is_held(lifecycle)) {
		lifecycle_explain(lifecycle, "sealed by an admin; run: mortise unseal");
		return;
	}
	unseal_by_hardware(lifecycle);
}

enum mortise_status lifecycle_unseal(
	struct lifecycle *lifecycle, lifecycle_done *done, void *context)
{
	if (lifecycle->state == LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	if (lifecycle->state == LIFECYCLE_UNSEALED || lifecycle->done)
		return MORTISE_BUSY;
	TRY(store_set_hold(lifecycle->store, ""));
	lifecycle->done = done;
	lifecycle->context = context;
	if (lifecycle->state == LIFECYCLE_SEALED)
		unseal_by_hardware(lifecycle);
	return MORTISE_OK;
}

enum mortise_status lifecycle_recover(
	struct lifecycle *lifecycle, const struct secret *recovery_key)
{
	const struct kept_slot *kept = lifecycle_recovery_slot(lifecycle);

	if (lifecycle->state == LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	if (lifecycle->state == LIFECYCLE_UNSEALED)
		return MORTISE_OK;
	if (!kept)
		return MORTISE_NOT_FOUND;
	TRY(lifecycle_open_with(lifecycle, kept, recovery_key));
	event_del(lifecycle->retry);
	/* Unsealed it is; a seal that could not be taken back comes back with the next start. */
	if (store_set_hold(lifecycle->store, "") != MORTISE_OK)
		log_warning("an admin's seal could not be taken back; run: mortise unseal, again");
	lifecycle_finish(lifecycle, MORTISE_OK, "", NULL);
	return MORTISE_OK;
}

static void close_vault(struct lifecycle *lifecycle)
{
	lifecycle->parts.hooks.closing(lifecycle->parts.hooks.context);
	vault_close(lifecycle->vault);
	lifecycle->vault = NULL;
}

enum mortise_status lifecycle_seal(struct lifecycle *lifecycle, bool until_boot)
{
	char word[STORE_HOLD_MAX];

	if (lifecycle->state == LIFECYCLE_UNINITIALISED)
		return MORTISE_CONFLICT;
	lifecycle_hold_word(until_boot, word);
	TRY(store_set_hold(lifecycle->store, word));
	event_del(lifecycle->retry);
	if (lifecycle->vault)
		close_vault(lifecycle);
	/* Pruned versions go from the disk now; if not, SQLite overwrites them later. */
	(void)!store_truncate_log(lifecycle->store);
	lifecycle_set_state(lifecycle, LIFECYCLE_SEALED);
	lifecycle_explain(lifecycle, "sealed by an admin; run: mortise unseal");
	lifecycle_finish(lifecycle, MORTISE_SEALED, "sealed meanwhile", NULL);
	return MORTISE_OK;
}

void lifecycle_reopen(struct lifecycle *lifecycle)
{
	struct store *store = NULL;

	close_vault(lifecycle);
	lifecycle_set_state(lifecycle, LIFECYCLE_SEALED);
	backup_store_closing(lifecycle->backup);
	store_close(lifecycle->store);
	lifecycle->store = NULL;
	if (store_open(lifecycle->parts.store_directory, &store) != MORTISE_OK) {
		log_error("the store cannot be opened again after a failed write; giving up");
		event_base_loopbreak(lifecycle->parts.base);
		return;
	}
	lifecycle->store = store;
	lifecycle_explain(lifecycle, "a write to the store failed; it is read again");
	unseal_by_hardware(lifecycle);
}

static enum mortise_status open_store(struct lifecycle *lifecycle)
{
	struct store_meta meta;

	TRY(store_open(lifecycle->parts.store_directory, &lifecycle->store));
	enum mortise_status status = store_meta(lifecycle->store, &meta);
	lifecycle->state = LIFECYCLE_UNINITIALISED;
	if (status == MORTISE_NOT_FOUND)
		return MORTISE_OK;
	TRY(status);
	lifecycle->state = LIFECYCLE_SEALED;
	return lifecycle_load_slots(lifecycle);
}

/* SQLite's own words went with the store; that the file is not ours is the usual reason. */
static void explain_store(const char *directory, enum mortise_status status)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/store.db", directory);
	if (status == MORTISE_IO && access(path, R_OK | W_OK) != 0)
		log_error("%s: %s; give the file to the agent's user, with mode 0600", path,
			strerror(errno));
	else
		log_error("%s: not a usable store: %s", path, mortise_status_text(status));
}

enum mortise_status lifecycle_new(
	const struct lifecycle_parts *parts, struct lifecycle **out_lifecycle)
{
	struct lifecycle *lifecycle = calloc(1, sizeof *lifecycle);

	if (!lifecycle)
		return MORTISE_BUSY;
	lifecycle->parts = *parts;
	lifecycle->since_us = now_us();
	lifecycle->retry = evtimer_new(parts->base, on_retry, lifecycle);
	enum mortise_status status =
		lifecycle->retry ? backup_new(parts->store_directory, &lifecycle->backup)
				 : MORTISE_BUSY;
	if (status == MORTISE_OK)
		status = open_store(lifecycle);
	if (status != MORTISE_OK) {
		explain_store(parts->store_directory, status);
		lifecycle_free(lifecycle);
		return status;
	}
	*out_lifecycle = lifecycle;
	return MORTISE_OK;
}

void lifecycle_free(struct lifecycle *lifecycle)
{
	if (!lifecycle)
		return;
	if (lifecycle->retry)
		event_free(lifecycle->retry);
	making_free(lifecycle->making);
	if (lifecycle->vault)
		close_vault(lifecycle);
	lifecycle_forget_slots(lifecycle);
	backup_free(lifecycle->backup);
	store_close(lifecycle->store);
	free(lifecycle);
}
