/* SPDX-License-Identifier: ISC */
/* init: the store, its slots, the first policy; and where the recovery key goes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "output.h"

#define INIT_DEADLINE_MS 120000 /* a key lost to impatience is lost for good */
#define RECOVERY_MAX     256
#define FILE_RESERVE     4096

/* Where the recovery key goes. It is there, with room, before there is a key. */
struct target {
	const char *name; /* NULL: the terminal */
	int fd;
};

static int refuse_target(const struct cli *cli, const struct target *target)
{
	if (errno == EEXIST)
		return output_fail(cli, MORTISE_CONFLICT,
			"%s exists; move it away, or name another --recovery-file", target->name);
	return output_fail(cli, MORTISE_IO, "cannot make the recovery file %s: %s", target->name,
		strerror(errno));
}

static void abandon(struct target *target)
{
	if (target->name == NULL || target->fd == STDOUT_FILENO)
		return;
	(void)unlink(target->name);
	(void)close(target->fd);
}

static int prepare(const struct cli *cli, struct target *target)
{
	target->name = args_value(cli, "recovery-file");
	target->fd = STDOUT_FILENO;
	if (cli->is_dry_run)
		target->name = "-";
	if (target->name == NULL &&
		(cli->is_json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return output_fail(cli, MORTISE_INVALID,
			"the recovery key must go somewhere: use a terminal (without --json), or "
			"--recovery-file=F");
	if (target->name == NULL)
		return CLI_DONE;
	if (strcmp(target->name, "-") == 0) {
		if (cli->is_json && !cli->is_dry_run)
			return output_fail(cli, MORTISE_INVALID,
				"with --json the recovery key needs a --recovery-file of its own");
		return CLI_DONE;
	}
	target->fd = open(target->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (target->fd < 0)
		return refuse_target(cli, target);
	errno = fchmod(target->fd, 0600) == 0 ? posix_fallocate(target->fd, 0, FILE_RESERVE)
					      : errno;
	if (errno != 0) {
		int ending = refuse_target(cli, target);

		abandon(target);
		return ending;
	}
	return CLI_DONE;
}

static enum mortise_status request(struct cli *cli, struct wire_message *out_reply)
{
	struct wire_writer *writer = client_begin(cli->agent, WIRE_INIT);

	wire_put_text(writer, WIRE_TAG_SLOT_KIND, args_has(cli, "no-hardware") ? "none" : "tpm2");
	if (cli->is_dry_run)
		wire_put_number(writer, WIRE_TAG_DRY_RUN, 1);
	return client_call(cli->agent, out_reply);
}

/* Past stdio, which would keep a copy of the key. */
static enum mortise_status write_key(int fd, const char *key, const char *key_id)
{
	char comment[512];
	int size = snprintf(comment, sizeof comment,
		"# The recovery key (id %s) of this host's mortise store. It opens the store "
		"without\n"
		"# the TPM: mortise unseal --recovery-file=FILE. Keep it away from this host.\n",
		key_id);

	TRY(output_write(fd, comment, (size_t)size));
	TRY(output_write(fd, key, strlen(key)));
	return output_write(fd, "\n", 1);
}

static enum mortise_status show_key(const char *key, const char *key_id)
{
	static const char advice[] =
		"\n\nWrite it down, and keep it away from this host. If the TPM or the board is\n"
		"ever gone, it alone opens the store: mortise unseal --recovery\n\n";
	char text[512];
	int size = snprintf(text, sizeof text,
		"\nThis is the recovery key, with the id %s. It is shown this once:\n\n    ",
		key_id);

	TRY(output_write(STDOUT_FILENO, text, (size_t)size));
	TRY(output_write(STDOUT_FILENO, key, strlen(key)));
	return output_write(STDOUT_FILENO, advice, sizeof advice - 1);
}

static enum mortise_status keep_key(
	const struct target *target, const char *key, const char *key_id)
{
	off_t end;

	if (target->name == NULL)
		return show_key(key, key_id);
	TRY(write_key(target->fd, key, key_id));
	if (target->fd == STDOUT_FILENO)
		return MORTISE_OK;
	end = lseek(target->fd, 0, SEEK_CUR);
	if (end < 0 || ftruncate(target->fd, end) != 0 || fsync(target->fd) != 0 ||
		close(target->fd) != 0)
		return MORTISE_IO;
	return MORTISE_OK;
}

static int report(const struct cli *cli, const struct wire_message *reply, const char *key_id,
	const struct target *target)
{
	FILE *out = target->fd == STDOUT_FILENO && target->name != NULL && !cli->is_dry_run
			    ? stderr
			    : stdout;
	const struct wire_field *policy = &reply->field[WIRE_TAG_TEXT];

	if (cli->is_json)
		return output_json(json_pack("{s:b, s:b, s:s?, s:o}", "changed",
			ask_flag(reply, WIRE_TAG_CHANGED), "dry_run", cli->is_dry_run,
			"recovery_key_id", cli->is_dry_run ? NULL : key_id, "policy",
			output_json_text(policy->size > 0 ? (const char *)policy->bytes : "",
				policy->size)));
	if (cli->is_dry_run) {
		fputs("would make a new store\n", out);
		return CLI_DONE;
	}
	if (target->name != NULL && target->fd != STDOUT_FILENO)
		fprintf(out, "the recovery key (id %s) is in %s; keep it away from this host\n",
			key_id, target->name);
	fputs("the store is made and unsealed; its first policy lets root do everything.\n"
	      "Edit it and apply it with: mortise policy apply\n\n",
		out);
	(void)fwrite(policy->size > 0 ? (const char *)policy->bytes : "", 1, policy->size, out);
	return CLI_DONE;
}

static int finish(const struct cli *cli, const struct wire_message *reply, struct target *target)
{
	char key[RECOVERY_MAX], key_id[16];
	enum mortise_status status = MORTISE_OK;

	if (wire_text(reply, WIRE_TAG_KEY_ID, key_id, sizeof key_id) != MORTISE_OK)
		memcpy(key_id, "?", 2);
	if (cli->is_dry_run)
		return report(cli, reply, key_id, target);
	if (wire_text(reply, WIRE_TAG_RECOVERY, key, sizeof key) != MORTISE_OK) {
		abandon(target);
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
	struct target target;
	struct wire_message reply;
	enum mortise_status status;
	int ending;

	if (args_has(cli, "tpm2") && args_has(cli, "no-hardware"))
		return output_fail(cli, MORTISE_INVALID, "either --tpm2 or --no-hardware");
	if (has_store(cli))
		return report_unchanged(cli);
	ending = prepare(cli, &target);
	if (ending != CLI_DONE)
		return ending;
	mortise_set_deadline(cli->agent, INIT_DEADLINE_MS, cli->wait_ms);
	status = request(cli, &reply);
	if (status == MORTISE_OK)
		return finish(cli, &reply, &target);
	abandon(&target);
	if (status == MORTISE_CONFLICT && args_has(cli, "if-needed"))
		return report_unchanged(cli);
	return ask_fail(cli, status, NULL);
}

static const struct option options[] = {
	{"if-needed", 0, NULL, "no error if there is a store already"},
	{"tpm2", 0, NULL, "bind the store to this host's TPM (the default)"},
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
		 "terminal once, or written to the recovery file. No PCRs are used: another\n"
		 "system booted on this machine can unseal the store too.",
	.examples = "  mortise init\n"
		    "  mortise init --if-needed --recovery-file=/root/mortise-recovery",
	.run = init,
};
