/* SPDX-License-Identifier: ISC */
/* backup: a copy of the store, as the agent makes it while it serves. */
#include "backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "output_file.h"
#include "progress.h"
#include "typed_key.h"

#define KEY_ID_MAX 16

/* The agent makes a copy of its own first, a little with each request. */
static enum mortise_status make_copy(struct cli *cli, uint64_t *out_total)
{
	struct progress progress = progress_begin();
	struct wire_message reply;
	uint64_t done, total;

	do {
		(void)client_begin(cli->agent, WIRE_BACKUP);
		TRY(client_call(cli->agent, &reply));
		done = ask_number(&reply, WIRE_TAG_DONE, 0);
		total = ask_number(&reply, WIRE_TAG_TOTAL, 0);
		progress_show(&progress, "copied %llu of %llu bytes", (unsigned long long)done,
			(unsigned long long)total);
	} while (done < total);
	progress_clear(&progress);
	*out_total = total;
	return MORTISE_OK;
}

static enum mortise_status fetch_copy(struct cli *cli, int fd, uint64_t total)
{
	struct progress progress = progress_begin();
	struct wire_message reply;
	uint64_t offset = 0;

	do {
		wire_put_number(client_begin(cli->agent, WIRE_BACKUP), WIRE_TAG_OFFSET, offset);
		TRY(client_call(cli->agent, &reply));
		const struct wire_field *chunk = wire_field_of(&reply, WIRE_TAG_CHUNK);
		if (chunk->size > 0 && output_write(fd, chunk->bytes, chunk->size) != MORTISE_OK)
			return client_fail(
				cli->agent, MORTISE_IO, "cannot write: %s", strerror(errno));
		offset += chunk->size;
		progress_show(&progress, "written %llu of %llu bytes", (unsigned long long)offset,
			(unsigned long long)total);
	} while (ask_flag(&reply, WIRE_TAG_MORE));
	progress_clear(&progress);
	if (offset != total)
		return client_fail(cli->agent, MORTISE_IO, "the agent's copy ended early");
	return MORTISE_OK;
}

static int send_file(struct cli *cli, int fd, const char *name, uint64_t size)
{
	struct progress progress = progress_begin();
	uint8_t chunk[WIRE_CHUNK_MAX];
	uint64_t offset = 0;
	ssize_t got;

	while ((got = read(fd, chunk, sizeof chunk)) > 0) {
		struct wire_writer *writer = client_begin(cli->agent, WIRE_BACKUP_STAGE);
		struct wire_message reply;

		wire_put(writer, WIRE_TAG_CHUNK, chunk, (size_t)got);
		wire_put_number(writer, WIRE_TAG_OFFSET, offset);
		enum mortise_status status = client_call(cli->agent, &reply);
		if (status != MORTISE_OK)
			return ask_fail(cli, status, NULL);
		offset += (uint64_t)got;
		progress_show(&progress, "sent %llu of %llu bytes", (unsigned long long)offset,
			(unsigned long long)size);
	}
	progress_clear(&progress);
	if (got < 0)
		return output_fail(cli, MORTISE_IO, "cannot read %s: %s", name, strerror(errno));
	if (offset == 0)
		return output_fail(cli, MORTISE_INTEGRITY, "%s is empty", name);
	return CLI_DONE;
}

static int bring_file(struct cli *cli, const char *name)
{
	struct stat about = {0};
	int fd = strcmp(name, "-") == 0 ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &about) != 0)
		return output_fail(cli, MORTISE_IO, "cannot read %s: %s", name, strerror(errno));
	enum mortise_status status = client_pin(cli->agent);
	int ending = status == MORTISE_OK ? send_file(cli, fd, name, (uint64_t)about.st_size)
					  : ask_fail(cli, status, NULL);
	(void)close(fd);
	return ending;
}

int backup_bring(struct cli *cli, const char *name, struct paged *out_totals)
{
	const struct typed_call call = {.opcode = WIRE_BACKUP_VERIFY};
	bool has_key = args_has(cli, "recovery") || args_has(cli, "recovery-file");
	struct wire_message reply;
	int ending = bring_file(cli, name);
	enum mortise_status status;

	if (ending == CLI_DONE && has_key)
		ending = typed_key_call(cli, &call, &reply);
	if (ending != CLI_DONE)
		return ending;
	status = has_key ? paged_go_on(cli, WIRE_BACKUP_VERIFY, &reply, out_totals)
			 : paged_run(cli, WIRE_BACKUP_VERIFY, out_totals);
	if (status == MORTISE_OK)
		return CLI_DONE;
	return ask_fail(cli, status, status == MORTISE_INTEGRITY ? name : NULL);
}

static int report(struct cli *cli, const char *name, uint64_t size, const char *key_id)
{
	if (cli->is_json)
		return output_json(json_pack("{s:o, s:o, s:s}", "file", output_json_said(name),
			"bytes", output_json_number(size), "recovery_key_id", key_id));
	output_text(name);
	printf(": %llu bytes, encrypted. With it and the recovery key (id %s) the secrets can be\n"
	       "had again on any host: mortise recover --backup=",
		(unsigned long long)size, key_id[0] ? key_id : "?");
	output_text(name);
	puts(". The audit log is not in it.");
	return CLI_DONE;
}

static int fail_file(const struct cli *cli, enum mortise_status status, const char *name,
	const struct output_file *file)
{
	if (status == MORTISE_CONFLICT)
		return output_fail(
			cli, status, "%s exists; name another file, or replace it: --force", name);
	return output_file_fail(cli, status, name, file);
}

/* What the agent remembers of a copy it remembers by connection. */
static enum mortise_status copy(
	struct cli *cli, int fd, char key_id[KEY_ID_MAX], uint64_t *out_total)
{
	/* Without the id the copy is as good; only a name for its key is not shown. */
	(void)!ask_fact(cli, "recovery_key_id", key_id, KEY_ID_MAX);
	TRY(client_pin(cli->agent));
	TRY(make_copy(cli, out_total));
	return fetch_copy(cli, fd, *out_total);
}

static int create(struct cli *cli)
{
	bool may_replace = args_has(cli, "force");
	const char *name = cli->operands[0];
	struct output_file file;
	enum mortise_status status;
	char key_id[KEY_ID_MAX] = "";
	uint64_t total = 0;
	int ending = CLI_DONE;

	status = output_file_open(name, may_replace ? OUTPUT_FILE_REPLACE : OUTPUT_FILE_NEW, &file);
	if (status != MORTISE_OK)
		return fail_file(cli, status, name, &file);
	if (cli->is_json && file.is_output)
		return output_fail(cli, MORTISE_INVALID, "either --json or standard output");
	status = copy(cli, file.fd, key_id, &total);
	client_unpin(cli->agent);
	if (status != MORTISE_OK)
		ending = ask_fail(cli, status, NULL);
	else if ((status = output_file_commit(&file)) != MORTISE_OK)
		ending = fail_file(cli, status, name, &file);
	output_file_abandon(&file);
	return ending == CLI_DONE && !file.is_output ? report(cli, name, total, key_id) : ending;
}

static int verify(struct cli *cli)
{
	struct paged totals = {0};
	int ending = backup_bring(cli, cli->operands[0], &totals);

	client_unpin(cli->agent);
	if (ending != CLI_DONE)
		return ending;
	if (cli->is_json)
		return output_json(json_pack("{s:b, s:o, s:o}", "intact", 1, "file",
			output_json_said(cli->operands[0]), "values",
			output_json_number(totals.sum)));
	output_text(cli->operands[0]);
	printf(": intact, %llu values\n", (unsigned long long)totals.sum);
	return CLI_DONE;
}

static const struct option verify_options[] = {
	{"recovery", 0, NULL, "ask for its recovery key on the terminal"},
	{"recovery-file", 0, "F", "read its recovery key, or shares of it, from F"},
	{0},
};

const struct command command_backup_verify = {
	.name = "backup verify",
	.operands = "FILE",
	.summary = "read a whole backup, and say whether it is one",
	.options = verify_options,
	.least = 1,
	.most = 1,
	.exits = {CLI_INTEGRITY, CLI_NOT_FOUND},
	.notes =
		"The agent reads all of it with its own key, or with the recovery key where it is\n"
		"sealed, or the backup is of another store or of before a rekey.",
	.examples = "  mortise backup verify /mnt/backup/mortise.db\n"
		    "  mortise backup verify --recovery web1.mortise",
	.run = verify,
};

static const struct option create_options[] = {
	{"force", 0, NULL, "replace FILE if it is there"},
	{0},
};

const struct command command_backup_create = {
	.name = "backup create",
	.operands = "FILE",
	.summary = "copy the store, encrypted as it is, while it serves",
	.options = create_options,
	.least = 1,
	.most = 1,
	.verb = "admin",
	.exits = {CLI_CONFLICT},
	.notes = "The copy is of one moment and complete: secrets, versions, policies, slots. It\n"
		 "opens with the recovery key, or with this host's TPM while that still expects a\n"
		 "store so old. FILE must be new; it appears at once or not at all, with mode "
		 "0600. - is\n"
		 "standard output. What changes afterwards is not in it, nor is the audit log.",
	.examples = "  mortise backup create /mnt/backup/mortise.db\n"
		    "  mortise backup create - | ssh vault 'cat > web1.mortise'",
	.run = create,
};
