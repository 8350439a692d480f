/* SPDX-License-Identifier: ISC */
#include "suggest.h"

#include <stddef.h>
#include <string.h>

#define WORD_MAX 40 /* longer ones resemble nothing */

static unsigned least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned suggest_distance(const char *one, const char *other)
{
	unsigned rows[WORD_MAX + 1][WORD_MAX + 1];
	size_t one_size = strlen(one), other_size = strlen(other);

	if (one_size > WORD_MAX || other_size > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= one_size; i++) {
		for (size_t j = 0; j <= other_size; j++) {
			unsigned best;

			if (i == 0 || j == 0) {
				rows[i][j] = (unsigned)(i + j);
				continue;
			}
			best = rows[i - 1][j - 1] + (one[i - 1] != other[j - 1]);
			best = least_of(best, rows[i - 1][j] + 1);
			best = least_of(best, rows[i][j - 1] + 1);
			if (i > 1 && j > 1 && one[i - 1] == other[j - 2] &&
				one[i - 2] == other[j - 1])
				best = least_of(best, rows[i - 2][j - 2] + 1);
			rows[i][j] = best;
		}
	}
	return rows[one_size][other_size];
}

void suggest_consider(struct suggest *suggest, const char *candidate)
{
	unsigned distance = suggest_distance(suggest->word, candidate);
	const char *blank = strrchr(candidate, ' ');

	/* Of "policy show" the second word alone is in doubt. */
	if (distance > 1 + strlen(blank ? blank + 1 : candidate) / 5)
		return;
	if (suggest->found && distance >= suggest->distance)
		return;
	suggest->found = candidate;
	suggest->distance = distance;
}

bool suggest_is_grave(const char *command)
{
	static const char *const grave[] = {"seal", "init", "delete", "destroy", "rollback",
		"rekey", "recover", "policy reset", "policy rollback", "slot remove",
		"slot suspend", "backup restore", "clock accept", "audit acknowledge"};

	for (size_t i = 0; i < sizeof grave / sizeof grave[0]; i++)
		if (strcmp(grave[i], command) == 0)
			return true;
	return false;
}

const struct suggest_word *suggest_find(const char *word)
{
	const struct suggest_word *at = suggest_words;

	while (at->word && strcmp(at->word, word) != 0)
		at++;
	return at->word ? at : NULL;
}

/* clang-format off */
const struct suggest_word suggest_words[] = {
	/* a value out */
	{"access", "get", NULL},
	{"cat", "get", NULL},
	{"decrypt", "get", NULL},
	{"fetch", "get", NULL},
	{"get-secret", "get", NULL},
	{"get-secret-value", "get", NULL},
	{"print", "get", NULL},
	{"read", "get", NULL},
	{"retrieve", "get", NULL},
	{"reveal", "get", NULL},
	{"clip", "get", NULL},
	{"copy", "get", "a copy is: mortise get PATH | mortise set NEW-PATH"},
	{"cp", "get", "a copy is: mortise get PATH | mortise set NEW-PATH"},
	/* a value in */
	{"add", "set", NULL},
	{"create", "set", NULL},
	{"create-secret", "set", NULL},
	{"edit", "set", NULL},
	{"encrypt", "set", NULL},
	{"gen", "set", "a random value is: mortise set --generate=password:32 PATH"},
	{"generate", "set", "a random value is: mortise set --generate=password:32 PATH"},
	{"insert", "set", NULL},
	{"new", "set", NULL},
	{"patch", "set", NULL},
	{"put", "set", NULL},
	{"put-secret-value", "set", NULL},
	{"save", "set", NULL},
	{"store", "set", NULL},
	{"update", "set", NULL},
	{"update-secret", "set", NULL},
	{"write", "set", NULL},
	{"load", "import", NULL},
	/* what there is */
	{"dir", "list", NULL},
	{"find", "list", NULL},
	{"items", "list", NULL},
	{"list-secrets", "list", NULL},
	{"ls", "list", NULL},
	{"search", "list", NULL},
	{"secrets", "list", NULL},
	{"tree", "list", NULL},
	{"cat-file", "show", NULL},
	{"describe", "show", NULL},
	{"describe-secret", "show", NULL},
	{"info", "show", NULL},
	{"inspect", "show", NULL},
	{"metadata", "show", NULL},
	{"stat", "show", NULL},
	{"versions", "show", NULL},
	{"view", "show", NULL},
	{"annotate", "meta", NULL},
	{"tag", "meta", NULL},
	{"grep", "scan", NULL},
	{"diff", "scan", NULL},
	/* what becomes of it */
	{"mv", "move", NULL},
	{"rename", "move", NULL},
	{"del", "delete", NULL},
	{"delete-secret", "delete", NULL},
	{"remove", "delete", NULL},
	{"rm", "delete", NULL},
	{"unset", "delete", NULL},
	{"restore-secret", "undelete", NULL},
	{"restore", "undelete", "a secret comes back by: mortise undelete PATH; the store by: "
		"mortise backup restore FILE"},
	{"revert", "rollback", NULL},
	{"purge", "destroy", NULL},
	{"shred", "destroy", NULL},
	{"rotate-secret", "rotate", NULL},
	/* to other programs */
	{"env", "exec", NULL},
	{"exec-env", "exec", NULL},
	{"export", "exec", "a program gets values by: mortise exec -e NAME=PATH -- CMD"},
	{"run", "exec", NULL},
	{"with", "exec", NULL},
	{"wrap", "exec", NULL},
	{"inject", "render", NULL},
	{"template", "render", NULL},
	{"tpl", "render", NULL},
	{"monitor", "watch", NULL},
	{"tail", "watch", NULL},
	/* the agent */
	{"lock", "seal", NULL},
	{"close", "seal", NULL},
	{"open", "unseal", NULL},
	{"unlock", "unseal", NULL},
	{"is-active", "status", NULL},
	{"state", "status", NULL},
	{"check", "doctor", NULL},
	{"diagnose", "doctor", NULL},
	{"fsck", "verify", NULL},
	{"health", "doctor", NULL},
	{"id", "whoami", NULL},
	{"user", "whoami", NULL},
	{"initialise", "init", NULL},
	{"initialize", "init", NULL},
	{"setup", "init", NULL},
	{"server", NULL, "the agent is the program mortised: systemctl start mortised"},
	{"agent", NULL, "the agent is the program mortised: systemctl start mortised"},
	{"start", NULL, "the agent is started by: systemctl start mortised"},
	{"stop", NULL, "the agent is ended by: systemctl stop mortised"},
	{"restart", NULL, "the agent is started anew by: systemctl restart mortised"},
	{"reload", NULL, "the agent reads its configuration anew by: systemctl reload mortised"},
	{"enable", NULL, "the agent starts with the host by: systemctl enable mortised"},
	{"disable", NULL, "the agent starts with the host no more by: systemctl disable mortised"},
	{"login", "whoami", "nobody logs in: the kernel says who asks; see: mortise whoami"},
	{"logout", "whoami", "nobody logs in: the kernel says who asks; see: mortise whoami"},
	{"signin", "whoami", "nobody logs in: the kernel says who asks; see: mortise whoami"},
	{"auth", "whoami", "nobody logs in: the kernel says who asks; see: mortise whoami"},
	{"token", "whoami", "nobody logs in: the kernel says who asks; see: mortise whoami"},
	{"kv", NULL, "there is one store, so leave that out: mortise get PATH"},
	{"item", NULL, "there is one store, so leave that out: mortise get PATH"},
	{"secret", NULL, "there is one store, so leave that out: mortise get PATH"},
	{"vault", NULL, "there is one store, so leave that out: mortise get PATH"},
	{"config", NULL, "it is a file: /etc/mortise/mortised.conf; see: man mortised.conf"},
	{"version", NULL, "see: mortise --version"},
	{"man", NULL, "see: mortise --help, or: man mortise"},
	/* log, policy, slots, backups */
	{"audit list", "audit show", NULL},
	{"audit log", "audit show", NULL},
	{"audit check", "audit verify", NULL},
	{"history", "audit show", NULL},
	{"journal", "audit show", NULL},
	{"log", "audit show", NULL},
	{"logs", "audit show", NULL},
	{"acl", "policy show", NULL},
	{"can", "policy check", NULL},
	{"capabilities", "policy may", NULL},
	{"permissions", "policy may", NULL},
	{"policy cat", "policy show", NULL},
	{"policy get", "policy show", NULL},
	{"policy list", "policy show", NULL},
	{"policy ls", "policy show", NULL},
	{"policy print", "policy show", NULL},
	{"policy read", "policy show", NULL},
	{"policy load", "policy apply", NULL},
	{"policy put", "policy apply", NULL},
	{"policy set", "policy apply", NULL},
	{"policy write", "policy apply", NULL},
	{"policy can", "policy check", NULL},
	{"policies", "policy show", NULL},
	{"share", "policy edit", NULL},
	{"grant", "policy edit", NULL},
	{"keys", "slot list", NULL},
	{"slots", "slot list", NULL},
	{"slot create", "slot add", NULL},
	{"slot new", "slot add", NULL},
	{"slot delete", "slot remove", NULL},
	{"slot del", "slot remove", NULL},
	{"slot rm", "slot remove", NULL},
	{"slot ls", "slot list", NULL},
	{"slot show", "slot list", NULL},
	{"slot check", "slot test", NULL},
	{"passwd", "slot change-pin", NULL},
	{"dump", "backup create", NULL},
	{"snapshot", "backup create", NULL},
	{"backup make", "backup create", NULL},
	{"backup save", "backup create", NULL},
	{"backup check", "backup verify", NULL},
	{"backup test", "backup verify", NULL},
	{NULL, NULL, NULL},
};
/* clang-format on */
