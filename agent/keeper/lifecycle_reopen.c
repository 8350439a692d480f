/* SPDX-License-Identifier: ISC */
/*
 * A store that could not be written: it is opened anew with the keys that are here, so that nobody
 * has to come with a PIN, a token or a key for a disk that failed once.
 */
#include "lifecycle_parts.h"
#include "log.h"

bool lifecycle_is_unsure(const struct lifecycle *lifecycle)
{
	return lifecycle->vault && (lifecycle->is_unsure || vault_is_stale(lifecycle->vault));
}

enum mortise_status lifecycle_have_store(struct lifecycle *lifecycle)
{
	if (store_is_open(lifecycle->store))
		return MORTISE_OK;
	enum mortise_status status = store_reopen(lifecycle->store);
	if (status == MORTISE_OK)
		status = lifecycle_load_slots(lifecycle);
	if (status == MORTISE_BUSY || status == MORTISE_IO)
		lifecycle_explain_lack(lifecycle, status);
	return status;
}

/* A rekey's last commit may be what failed: then the slots are others. */
static enum mortise_status read_anew(struct lifecycle *lifecycle)
{
	const struct lifecycle_hooks *hooks = &lifecycle->parts.hooks;

	backup_store_closing(lifecycle->backup);
	TRY(store_reopen(lifecycle->store));
	TRY(lifecycle_load_slots(lifecycle));
	TRY(vault_reload(lifecycle->vault));
	return hooks->reread(hooks->context, lifecycle->vault);
}

static void go_on(struct lifecycle *lifecycle)
{
	lifecycle->is_unsure = false;
	log_warning("a write to the store failed; it was opened anew, and is what it was");
	lifecycle_explain(lifecycle, "%s", "");
	lifecycle_begin_work(lifecycle);
	lifecycle_count(lifecycle);
	lifecycle_arm_ends(lifecycle);
}

static void wait_for_disk(struct lifecycle *lifecycle, enum mortise_status status, bool is_news)
{
	char text[400];

	if (!is_news)
		return;
	store_describe_lack(lifecycle->store, status, text, sizeof text);
	log_error("a write to the store failed, and it cannot be opened anew: %s", text);
	lifecycle_explain(lifecycle,
		"a write failed, and nothing is written for now, but the keys stay: %s; it is "
		"opened anew by itself as soon as that is possible",
		text);
}

static void seal_other(struct lifecycle *lifecycle)
{
	const struct lifecycle_hooks *hooks = &lifecycle->parts.hooks;

	lifecycle_close_vault(lifecycle);
	lifecycle_set_state(lifecycle, LIFECYCLE_SEALED);
	lifecycle_explain(lifecycle,
		"after a write that failed the store on the disk is neither what it was nor what "
		"that write was to make of it: the disk lost writes, or somebody changed it; look "
		"at the disk, then restore a backup: mortise recover --backup=FILE; or take the "
		"store as it is: mortise unseal");
	hooks->record(hooks->context, "unsealed", MORTISE_INTEGRITY, lifecycle->reason);
}

void lifecycle_look_again(struct lifecycle *lifecycle)
{
	bool is_news = !lifecycle->is_unsure;

	if (!lifecycle_is_unsure(lifecycle))
		return;
	lifecycle->is_unsure = true;
	enum mortise_status status = read_anew(lifecycle);
	if (status == MORTISE_OK)
		go_on(lifecycle);
	else if (status == MORTISE_BUSY || status == MORTISE_IO)
		wait_for_disk(lifecycle, status, is_news);
	else
		seal_other(lifecycle);
}
