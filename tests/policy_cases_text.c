/* SPDX-License-Identifier: ISC */
#include "policy_cases_text.h"

#include <stdio.h>
#include <string.h>

unsigned draw(struct bytes *bytes, unsigned below)
{
	if (bytes->left == 0)
		return 0;
	bytes->left--;
	return *bytes->at++ % below;
}

static void put(struct writer *writer, const char *text)
{
	int length = snprintf(
		writer->text + writer->used, sizeof writer->text - writer->used, "%s", text);

	if (length > 0 && (size_t)length < sizeof writer->text - writer->used)
		writer->used += (size_t)length;
	else
		writer->text[writer->used] = '\0';
}

const char *const verbs[VERB_WORDS] = {
	"read", "read", "list", "write", "delete", "rotate", "audit", "admin"};
static const char *const patterns[] = {"**", "**", "prod/**", "prod/**", "prod/*", "prod/db", "*",
	"*/db", "**/key", "prod/db/*", "p*d/**b", "a*a*a/*", "**a**b", "dev/x", "prod/d*/*y",
	"*/*/*"};
static const char *const accounts[] = {"0", "7", "34", "1000", "root", "alice", "backup", "50"};
static const char *const units[] = {"a.service", "b.service", "a@*.service", "a@x.service",
	"a@x*.service", "user:a.service", "x.slice", "user:x.slice", "a@*y*.service"};
static const char *const exes[] = {"/bin/a", "/bin/b", "/bin/a/b"};
static const char *const labels[] = {"x_t", "y_t", "u:r:x_t:s0", "unconfined"};
static const char *const sockets[] = {"web", "main", "db"};
static const char *const hours[] = {"02:30-04:30", "22:00-01:00", "22:00-01:00Z", "00:00-24:00",
	"02:00-03:00Z", "23:59-00:00", "00:00-00:01", "12:00-12:01Z"};
static const char *const days[] = {"mon", "sun", "mon-fri", "sat-sun", "fri-mon", "wed"};
static const char *const ends[] = {"2026-11-23", "2026-11-23Z", "2026-11-23T12:00",
	"2030-01-01T00:00:01Z", "2026-10-25T02:30"};
static const char *const rates[] = {"20/h", "1/min", "60/h", "1000000/d", "1/d"};

/* Nearly right for one key or another. */
static const char *const wrong[] = {"", "reed", "Prod/a", "/a", "a//b", "a/", "***", "a/***", "..",
	"a/../b", "1/2/3/4/5/6/7/8/9", "034", "4294967295", "4294967296", "65534", "nobody",
	"ghost", "-1", "+x", "a,b", "%dba", "a@.service", "*.service", "a.timer", "-.slice",
	"user:", "user:a", "bin/a", "/", "/bin/", "/bin/..", "/bin/./a", "/bin//a", "/bin/...",
	".web", "a*", "2:30-04:30", "02:30-02:30", "24:00-01:00", "02:30-24:01", "02:60-03:00",
	"00:00-00:00", "mon-mon", "Mon", "monday", "mon-", "2026-02-30", "2026-13-01", "1969-12-31",
	"2026-11-23T24:00", "2026-11-23T", "2026-11-23z", "0/h", "020/h", "20/s", "1000001/h", "20",
	"/h", "20/h 20/h", "a\\x2db.scope", "a@**.service", "@a.service", "2999-12-31T23:59:59Z",
	"prod/a.b-c_d", "prod/.a", "prod/-a", "a.service.slice"};

static const struct {
	const char *key;
	const char *const *words;
	unsigned count;
} keys[] = {
#define KEY(key, words)                                                                            \
	{                                                                                          \
		key, words, sizeof(words) / sizeof((words)[0])                                     \
	}
	KEY("secret", patterns),
	KEY("user", accounts),
	KEY("group", accounts),
	KEY("unit", units),
	KEY("exe", exes),
	KEY("label", labels),
	KEY("socket", sockets),
	KEY("hours", hours),
	KEY("days", days),
	KEY("expires", ends),
	KEY("rate", rates),
};

#define KEY_COUNT (sizeof keys / sizeof keys[0])
#define HOURS_KEY 7u /* and behind it days */

static void put_words(struct writer *writer, const char *const *words, unsigned count, bool is_one)
{
	unsigned more = is_one ? 0 : draw(writer->bytes, 3);

	do {
		put(writer, " ");
		if (draw(writer->bytes, 200) == 199)
			put(writer, PICK(writer->bytes, wrong));
		else
			put(writer, words[draw(writer->bytes, count)]);
	} while (more-- > 0);
	put(writer, draw(writer->bytes, 16) == 15 ? " ; why\n" : "\n");
}

/* Few conditions, so that rules match now and then. */
void put_rule(struct writer *writer, unsigned number)
{
	unsigned choice = draw(writer->bytes, 16), chosen = 0;
	char header[32];

	(void)snprintf(
		header, sizeof header, "[rule r%u]\n", draw(writer->bytes, 100) == 99 ? 0 : number);
	put(writer, header);
	if (choice != 0)
		put(writer, choice < 5 ? "deny =" : "allow =");
	if (choice != 0)
		put_words(writer, verbs, sizeof verbs / sizeof verbs[0], false);
	for (unsigned more = draw(writer->bytes, 3); more > 0; more--)
		chosen |= 1u << draw(writer->bytes, KEY_COUNT);
	if (choice >= 5 && draw(writer->bytes, 16) != 15)
		chosen |= 1u | 2u << draw(writer->bytes, 4);
	if ((chosen >> HOURS_KEY & 1) && draw(writer->bytes, 2) == 0)
		chosen |= 2u << HOURS_KEY;
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		bool is_one =
			strcmp(keys[i].key, "expires") == 0 || strcmp(keys[i].key, "rate") == 0;

		if ((chosen >> i & 1) == 0 || (i == KEY_COUNT - 1 && choice < 5))
			continue;
		put(writer, keys[i].key);
		put(writer, " =");
		put_words(writer, keys[i].words, keys[i].count, is_one);
	}
	if (draw(writer->bytes, 64) == 63)
		put(writer, "# a comment\n\n; another\n");
	if (draw(writer->bytes, 200) == 199)
		put(writer, "color = red\n");
}
