/* SPDX-License-Identifier: ISC */
/* backup: a copy of the store, as the agent makes it while it serves. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "ask.h"
#include "input.h"
#include "output.h"
#include "progress.h"

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
		const struct wire_field *chunk = &reply.field[WIRE_TAG_CHUNK];
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

static int report(struct cli *cli, const char *name, uint64_t size, const char *key_id)
{
	if (cli->is_json)
		return output_json(json_pack("{s:s, s:o, s:s}", "file", name, "bytes",
			output_json_number(size), "recovery_key_id", key_id));
	if (strcmp(name, "-") == 0)
		return CLI_DONE;
	printf("%s: %llu bytes, encrypted. With it and the recovery key (id %s) the secrets can "
	       "be\n"
	       "had again on any host: mortise recover --backup=%s. The audit log is not in it.\n",
		name, (unsigned long long)size, key_id[0] ? key_id : "?", name);
	return CLI_DONE;
}

/* What the agent remembers of a copy it remembers by connection. */
static int create(struct cli *cli)
{
	const char *name = cli->operands[0];
	struct input_file file;
	enum mortise_status status;
	char key_id[16] = "";
	uint64_t total = 0;
	int ending = CLI_DONE;

	if (cli->is_json && strcmp(name, "-") == 0)
		return output_fail(cli, MORTISE_INVALID, "either --json or standard output");
	(void)!ask_fact(cli, "recovery_key_id", key_id, sizeof key_id);
	if (input_file_begin(name, &file) != MORTISE_OK)
		return output_fail(cli, MORTISE_IO, "cannot write %s: %s", name, strerror(errno));
	status = client_pin(cli->agent);
	if (status == MORTISE_OK)
		status = make_copy(cli, &total);
	if (status == MORTISE_OK)
		status = fetch_copy(cli, file.fd, total);
	client_unpin(cli->agent);
	if (status != MORTISE_OK)
		ending = ask_fail(cli, status, NULL);
	else if (input_file_commit(&file) != MORTISE_OK)
		ending = output_fail(cli, MORTISE_IO, "cannot write %s: %s", name, strerror(errno));
	input_file_abandon(&file);
	return ending == CLI_DONE ? report(cli, name, total, key_id) : ending;
}

const struct command command_backup_create = {
	.name = "backup create",
	.operands = "FILE",
	.summary = "copy the store, encrypted as it is, while it serves",
	.least = 1,
	.most = 1,
	.verb = "admin",
	.notes = "The copy is of one moment and complete: secrets, versions, policies, slots. It\n"
		 "opens with the recovery key, or with this host's TPM while that still expects a\n"
		 "store so old. FILE appears at once or not at all, with mode 0600; - is standard\n"
		 "output. What changes afterwards is not in it, nor is the audit log.",
	.examples = "  mortise backup create /mnt/backup/mortise.db\n"
		    "  mortise backup create - | ssh vault 'cat > web1.mortise'",
	.run = create,
};
