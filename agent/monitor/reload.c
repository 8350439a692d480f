/* SPDX-License-Identifier: ISC */
#include "reload.h"

#include <string.h>

static void swap_text(char **one, char **other)
{
	char *kept = *one;

	*one = *other;
	*other = kept;
}

static bool is_same(const char *one, const char *other)
{
	return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

static bool is_same_socket(const struct config_socket *one, const struct config_socket *other)
{
	return is_same(one->name, other->name) && is_same(one->path, other->path) &&
	       is_same(one->group, other->group) && one->mode == other->mode &&
	       one->verbs == other->verbs;
}

static bool has_same_sockets(const struct config *one, const struct config *other)
{
	if (one->socket_count != other->socket_count)
		return false;
	for (size_t i = 0; i < one->socket_count; i++) {
		if (!is_same_socket(&one->sockets[i], &other->sockets[i]))
			return false;
	}
	return true;
}

/* All names together fit. */
static void add(const char *name, bool is_as_before, char later[RELOAD_LATER_SIZE])
{
	size_t size = strlen(later), added = strlen(name);

	if (is_as_before || size + added + 3 > RELOAD_LATER_SIZE)
		return;
	if (size > 0) {
		memcpy(later + size, ", ", 2);
		size += 2;
	}
	memcpy(later + size, name, added + 1);
}

void reload_take_over(
	struct config *running, struct config *fresh, char out_later[RELOAD_LATER_SIZE])
{
	out_later[0] = '\0';
	add("socket", is_same(running->socket, fresh->socket), out_later);
	add("store", is_same(running->store, fresh->store), out_later);
	add("audit-log", is_same(running->audit_log, fresh->audit_log), out_later);
	add("user", is_same(running->user, fresh->user), out_later);
	add("audit-sync", running->audit_sync_always == fresh->audit_sync_always, out_later);
	add("insecure-memory", running->has_insecure_memory == fresh->has_insecure_memory,
		out_later);
	add("exe-evidence", running->has_exe_evidence == fresh->has_exe_evidence, out_later);
	add("[socket NAME]", has_same_sockets(running, fresh), out_later);
	add("[credentials]",
		is_same(running->credentials.path, fresh->credentials.path) &&
			running->credentials.mode == fresh->credentials.mode &&
			running->credentials.wait_ms == fresh->credentials.wait_ms,
		out_later);
	add("deleted-keep", running->deleted_keep_days == fresh->deleted_keep_days, out_later);
	add("anchor-window", running->anchor_window_s == fresh->anchor_window_s, out_later);
	swap_text(&running->operators, &fresh->operators);
	swap_text(&running->environment, &fresh->environment);
	swap_text(&running->tcti, &fresh->tcti);
	swap_text(&running->pcr_signature, &fresh->pcr_signature);
	swap_text(&running->pkcs11_modules, &fresh->pkcs11_modules);
	swap_text(&running->pkcs11_env, &fresh->pkcs11_env);
	swap_text(&running->pkcs11_pin_file, &fresh->pkcs11_pin_file);
	running->hardware_deadline_ms = fresh->hardware_deadline_ms;
	running->requires_pidfd = fresh->requires_pidfd;
}
