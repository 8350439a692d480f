/* SPDX-License-Identifier: ISC */
/* policy who and policy may: what the rules give, to whom, page by page as one table. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "output.h"
#include "policy_caller.h"
#include "policy_grants.h"

static void begin_may(struct wire_writer *writer, const struct policy_caller *caller,
	const struct policy_grants *grants)
{
	policy_caller_put_label(writer, caller);
	if (grants->cursor_size > 0)
		wire_put(writer, WIRE_TAG_CURSOR, grants->cursor, grants->cursor_size);
	policy_caller_put_names(writer, caller);
	policy_caller_put_facts(writer, caller);
}

static enum mortise_status collect_may(
	struct cli *cli, const struct policy_caller *caller, struct policy_grants *grants)
{
	do {
		begin_may(client_begin(cli->agent, WIRE_POLICY_MAY), caller, grants);
		TRY(policy_grants_call(cli, grants));
	} while (grants->cursor_size > 0);
	return MORTISE_OK;
}

static int show_who(const struct cli *cli, const char *path, struct policy_grants *grants)
{
	policy_grants_find_members(grants);
	if (cli->is_json)
		return policy_grants_json(grants, "path", path);
	if (grants->count == 0)
		puts("nobody");
	return policy_grants_print(cli, grants, POLICY_GRANTS_WHO, "");
}

static int show_may(const struct cli *cli, const struct policy_grants *grants)
{
	if (cli->is_json)
		return policy_grants_json(grants, "user", grants->about);
	output_text(grants->about);
	puts(grants->count > 0 ? " may"
		: strstr(grants->about, "(uid 65534)") != NULL
			? " may nothing: that uid is never served, whatever the rules say"
			: " may nothing");
	return policy_grants_print(cli, grants, POLICY_GRANTS_MAY, "");
}

static int who(struct cli *cli)
{
	CLEANUP(policy_grants_drop) struct policy_grants grants = {0};
	struct ask_path path = {""};
	const char *about = NULL;

	if (cli->operand_count == 1) {
		int ending = ask_expand(cli, cli->operands[0], &path);

		if (ending != CLI_DONE)
			return ending;
		about = path.text;
	}
	enum mortise_status status =
		policy_grants_who(cli, about, args_value(cli, "verb"), &grants);
	return status == MORTISE_OK ? show_who(cli, about, &grants) : ask_fail(cli, status, NULL);
}

static int may(struct cli *cli)
{
	CLEANUP(policy_grants_drop) struct policy_grants grants = {0};
	struct policy_caller caller;
	enum mortise_status status;
	int ending = policy_caller_read(cli, &caller);

	if (ending != CLI_DONE)
		return ending;
	status = collect_may(cli, &caller, &grants);
	return status == MORTISE_OK ? show_may(cli, &grants) : ask_fail(cli, status, NULL);
}

static const struct option who_options[] = {{"verb", 0, "VERB", "only that verb"}, {0}};
static const struct option may_options[] = {POLICY_CALLER_OPTIONS, {0}};

const struct command command_policy_who = {
	.name = "policy who",
	.operands = "[PATH]",
	.summary = "list everyone who may do what to a secret",
	.options = who_options,
	.most = 1,
	.verb = "admin",
	.notes =
		"As the rules say it: to whom, which verbs, under what conditions, by which rule; "
		"the\n"
		"units that are handed it as a credential; and the denies that may cut into that.\n"
		"Without PATH: who may audit and administer.\n"
		"Members of groups are those this host lists now. A listener may take fewer verbs.",
	.examples = "  mortise policy who prod/db/password\n"
		    "  mortise policy who --verb=read prod/db/password\n"
		    "  mortise policy who",
	.run = who,
};

const struct command command_policy_may = {
	.name = "policy may",
	.operands = "",
	.summary = "list everything that someone may do",
	.options = may_options,
	.verb = "admin",
	.notes = "Without --user it is about you. What is not said of unit, program, label and\n"
		 "listener is a condition in the answer. A credential of a system unit is handed "
		 "to\n"
		 "it whoever runs in it.",
	.examples = "  mortise policy may --user=backup\n"
		    "  mortise policy may --user=backup --unit=backup.service",
	.run = may,
};
