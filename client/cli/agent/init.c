/* SPDX-License-Identifier: ISC */
/* init: the store, its slots, the first policy; and where the recovery key goes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "cli.h"
#include "output.h"
#include "output_file.h"
#include "policy_change.h"
#include "seal_wish.h"
#include "slot_kinds.h"

/*
 * The policy that init brings, as the first file of policy.d: who writes rules of his own beside it
 * and applies them stays an administrator.
 */

#define FILE_NAME "10-first.policy" /* as the store calls it, too */

/* Its own are nobody else's to begin. */
static bool has_policy(int directory)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;
	bool found = !entries;

	while (entries && (entry = readdir(entries)))
		found |= policy_is_file_name(entry->d_name);
	if (entries)
		(void)closedir(entries);
	else if (copy >= 0)
		(void)close(copy);
	return found;
}

static bool write_file(int directory, const void *text, size_t size)
{
	int fd = openat(
		directory, FILE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return false;
	bool is_written = output_write(fd, text, size) == MORTISE_OK && fsync(fd) == 0;
	if (close(fd) == 0 && is_written)
		return true;
	(void)unlinkat(directory, FILE_NAME, 0);
	return false;
}

/*
 * Writes it where the agent is the host's own and POLICY_DIRECTORY has no policy yet. Its path;
 * NULL where it is left to whoever ran init.
 */
static const char *policy_first_keep(const struct cli *cli, const void *text, size_t size)
{
	bool is_hosts_own = strcmp(cli->agent->socket_path, CLIENT_SOCKET_DEFAULT) == 0;
	int directory =
		is_hosts_own ? open(POLICY_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	bool is_kept = directory >= 0 && size > 0 && !has_policy(directory) &&
		       write_file(directory, text, size);

	if (directory >= 0)
		(void)close(directory);
	return is_kept ? POLICY_DIRECTORY "/" FILE_NAME : NULL;
}

#define INIT_DEADLINE_MS 120000 /* a key lost to impatience is lost for good */
#define RECOVERY_MAX     256
#define FIRST_SLOT       1 /* the hardware's, if there is any */

static enum mortise_status request(
	struct cli *cli, const struct seal_wish *wish, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_INIT);

	seal_wish_put(cli, wish, writer);
	seal_wish_put_anchor(cli, writer);
	return client_call(cli->agent, out_reply);
}

static enum mortise_status keep_key(struct key_file *target, const char *key, const char *key_id)
{
	char comment[512], before[128];
	struct key_line line = {key, strlen(key)};

	(void)snprintf(comment, sizeof comment,
		"# The recovery key (id %s) of this host's mortise store. It opens the store when\n"
		"# the TPM does not: mortise recover --recovery-file=FILE. Keep it elsewhere.\n",
		key_id);
	(void)snprintf(before, sizeof before,
		"\nThis is the recovery key, with the id %s. It is shown this once:\n\n", key_id);
	return key_file_keep(target, comment, before, &line, 1,
		"\nWrite it down, and keep it away from this host. If the TPM or the board is\n"
		"ever gone, it alone opens the store: mortise recover --recovery\n\n");
}

/* A store that is made is there, though its hardware may have gone before it was opened. */
static void report_state(struct cli *cli, FILE *out)
{
	char state[32] = "", reason[WIRE_TEXT_MAX + 1];

	/* Who cannot be asked is not called unsealed. */
	(void)!ask_fact(cli, "state", state, sizeof state);
	if (strcmp(state, "unsealed") == 0) {
		fputs("the store is made and unsealed; its first policy lets root do "
		      "everything.\n",
			out);
		return;
	}
	if (ask_fact(cli, "reason", reason, sizeof reason) != MORTISE_OK)
		(void)snprintf(reason, sizeof reason, "see: mortise status");
	fprintf(out,
		"the store is made, but not unsealed yet: %s\n"
		"Its first policy lets root do everything.\n",
		reason);
}

static int report(struct cli *cli, const struct wire_message *reply, const char *key_id,
	const struct key_file *target)
{
	FILE *out = key_file_is_output(target) && !cli->is_dry_run ? stderr : stdout;
	char text[WIRE_TEXT_MAX + 1] = "";

	/* It lies where the next reply will. One that is no text is none: the store is made. */
	(void)!wire_text(reply, WIRE_TAG_TEXT, text, sizeof text);
	size_t size = strlen(text);
	const char *kept = cli->is_dry_run ? NULL : policy_first_keep(cli, text, size);

	if (cli->is_json)
		return output_json(json_pack("{s:b, s:b, s:s?, s:o, s:s?}", "changed",
			ask_flag(reply, WIRE_TAG_CHANGED), "dry_run", cli->is_dry_run,
			"recovery_key_id", cli->is_dry_run ? NULL : key_id, "policy",
			output_json_shown(text, size), "policy_file", kept));
	if (cli->is_dry_run) {
		fputs("would make a new store\n", out);
		return CLI_DONE;
	}
	if (target->name && !key_file_is_output(target))
		fprintf(out, "the recovery key (id %s) is in %s; keep it away from this host\n",
			key_id, target->name);
	if (!args_has(cli, "no-hardware") && !args_has(cli, "pkcs11") && !args_has(cli, "pcrs") &&
		!args_has(cli, "pcr-public-key") && !args_has(cli, "tpm2-pin-file"))
		fputs("no PCRs and no PIN: any system that is booted on this machine can unseal "
		      "the "
		      "store;\nsee: mortise slot add --help\n",
			out);
	report_state(cli, out);
	if (kept)
		fprintf(out,
			"It is %s; put rules of your own beside it, then: mortise policy apply\n",
			kept);
	else
		fprintf(out, "Put it into %s beside your own, then: mortise policy apply\n\n%.*s",
			POLICY_DIRECTORY, (int)size, text);
	return CLI_DONE;
}

static int finish(struct cli *cli, const struct wire_message *reply, struct key_file *target)
{
	char key[RECOVERY_MAX], key_id[16];
	enum mortise_status status = MORTISE_OK;

	if (wire_text(reply, WIRE_TAG_KEY_ID, key_id, sizeof key_id) != MORTISE_OK)
		memcpy(key_id, "?", 2);
	if (cli->is_dry_run)
		return report(cli, reply, key_id, target);
	if (wire_text(reply, WIRE_TAG_RECOVERY, key, sizeof key) != MORTISE_OK) {
		key_file_abandon(target);
		return ask_fail_malformed(cli);
	}
	status = keep_key(target, key, key_id);
	mortise_wipe(key, sizeof key);
	if (status != MORTISE_OK)
		return output_fail(cli, status,
			"the store is made, but its recovery key could not be written: %s; "
			"stop mortised, remove the new store and run init again",
			strerror(errno));
	return report(cli, reply, key_id, target);
}

static int report_unchanged(const struct cli *cli)
{
	if (cli->is_json)
		return output_json(
			json_pack("{s:b, s:b}", "changed", 0, "dry_run", cli->is_dry_run));
	puts("there is a store already; nothing to do");
	return CLI_DONE;
}

/* So that a second run with the same recovery file finds the store, not the file. */
static bool has_store(struct cli *cli)
{
	char state[32];

	return args_has(cli, "if-needed") &&
	       ask_fact(cli, "state", state, sizeof state) == MORTISE_OK &&
	       strcmp(state, "uninitialised") != 0;
}

static int init(struct cli *cli)
{
	CLEANUP(seal_wish_done) struct seal_wish wish = {.pin = NULL};
	struct key_file target;
	struct wire_message reply;
	enum mortise_status status;
	const char *kind = NULL;
	int ending;

	ending = seal_wish_kind(cli, &kind);
	if (ending != CLI_DONE)
		return ending;
	if (has_store(cli))
		return report_unchanged(cli);
	ending = seal_wish_read(cli, kind, &wish);
	if (ending != CLI_DONE)
		return ending;
	ending = key_file_prepare(cli, &target);
	if (ending != CLI_DONE)
		return ending;
	mortise_set_deadline(cli->agent, INIT_DEADLINE_MS, cli->wait_ms);
	status = request(cli, &wish, &reply);
	if (status == MORTISE_OK) {
		ending = finish(cli, &reply, &target);
		if (ending == CLI_DONE && !cli->is_dry_run && strcmp(kind, SLOT_KIND_TPM2) == 0)
			seal_wish_warn(cli, FIRST_SLOT);
		return ending;
	}
	key_file_abandon(&target);
	if (status == MORTISE_CONFLICT && args_has(cli, "if-needed"))
		return report_unchanged(cli);
	return ask_fail(cli, status, NULL);
}

static const struct option options[] = {
	{"if-needed", 0, NULL, "no error if there is a store already"},
	{"tpm2", 0, NULL, "bind the store to this host's TPM (the default)"},
	SEAL_OPTIONS,
	{"no-anchor", 0, NULL,
		"make no counter in the TPM: an old copy of the store is not noticed"},
	{"no-hardware", 0, NULL, "only the recovery key opens the store"},
	{"recovery-file", 0, "F", "write the recovery key to a new file; - is standard output"},
	{0},
};

const struct command command_init = {
	.name = "init",
	.operands = "",
	.summary = "make the store and its recovery key",
	.options = options,
	.changes_something = true,
	.exits = {CLI_CONFLICT},
	.notes = "The recovery key opens the store when the TPM cannot. It is shown on the\n"
		 "terminal once, or written to the recovery file. Without --pcrs another\n"
		 "system booted on this machine can unseal the store too; with them a firmware\n"
		 "or boot loader update needs: mortise slot suspend. " SEAL_NOTES,
	.examples = "  mortise init\n"
		    "  mortise init --if-needed --recovery-file=/root/mortise-recovery",
	.run = init,
};
