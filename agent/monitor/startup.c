/* SPDX-License-Identifier: ISC */
#include "startup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"

#define LOCKED_MEMORY ((rlim_t)16 * 1024 * 1024)

static const char *const kept_variables[] = {
	"JOURNAL_STREAM", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

#define KEPT_VARIABLES (sizeof kept_variables / sizeof *kept_variables)

static void drop_text(char **text)
{
	free(*text);
}

static enum mortise_status set_again(const char *name, char *value)
{
	CLEANUP(drop_text) char *copy = value;

	if (copy && setenv(name, copy, 1) != 0)
		return MORTISE_IO;
	return MORTISE_OK;
}

static enum mortise_status clean_environment(void)
{
	char *values[KEPT_VARIABLES];
	bool failed = false;

	for (size_t i = 0; i < KEPT_VARIABLES; i++) {
		const char *value = getenv(kept_variables[i]);

		values[i] = value ? strdup(value) : NULL;
		failed = failed || (value && !values[i]);
	}
	clearenv();
	for (size_t i = 0; i < KEPT_VARIABLES; i++)
		failed = set_again(kept_variables[i], values[i]) != MORTISE_OK || failed;
	if (failed || setenv("PATH", SPAWN_PATH, 1) != 0 || setenv("LANG", "C", 1) != 0)
		return MORTISE_IO;
	return MORTISE_OK;
}

static enum mortise_status clean_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) == 0 ? MORTISE_OK : MORTISE_IO;
}

/* A file opened as 1 or 2 would get our messages. */
static enum mortise_status fill_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return MORTISE_IO;
	} while (fd < STDERR_FILENO);
	if (dup2(fd, STDIN_FILENO) < 0)
		return MORTISE_IO;
	if (fd > STDERR_FILENO)
		close(fd);
	return MORTISE_OK;
}

static enum mortise_status close_between(int first, int last)
{
	if (first > last)
		return MORTISE_OK;
	return close_range((unsigned)first, (unsigned)last, 0) == 0 ? MORTISE_OK : MORTISE_IO;
}

static enum mortise_status close_others(int first, int kept_fd)
{
	if (kept_fd >= first) {
		TRY(close_between(first, kept_fd - 1));
		first = kept_fd + 1;
	}
	return close_between(first, INT_MAX);
}

enum mortise_status startup_clean(size_t passed_count, int kept_fd)
{
	umask(0077);
	TRY(clean_signals());
	TRY(close_others(STDERR_FILENO + 1 + (int)passed_count, kept_fd));
	TRY(fill_standard_descriptors());
	return clean_environment();
}

static void raise_locked_memory(void)
{
	struct rlimit limit, wanted;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return;
	wanted.rlim_cur = limit.rlim_cur > LOCKED_MEMORY ? limit.rlim_cur : LOCKED_MEMORY;
	wanted.rlim_max = limit.rlim_max > LOCKED_MEMORY ? limit.rlim_max : LOCKED_MEMORY;
	if (setrlimit(RLIMIT_MEMLOCK, &wanted) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit); /* the keeper says so if it is too little */
}

enum mortise_status startup_set_limits(void)
{
	const struct rlimit no_core = {0, 0};

	raise_locked_memory();
	return setrlimit(RLIMIT_CORE, &no_core) == 0 ? MORTISE_OK : MORTISE_IO;
}

static enum mortise_status find_user(
	const char *name, struct names_user *out_user, struct refusal *out_refusal)
{
	struct names_user user;
	enum mortise_status status = names_find_user(name, &user);

	if (status == MORTISE_IO)
		return refuse(MORTISE_IO, out_refusal,
			"user = %s: the name service cannot be asked", name);
	if (status != MORTISE_OK || user.login[0] == '\0')
		return refuse(MORTISE_REJECTED, out_refusal, "user = %s: no such user", name);
	*out_user = user;
	return MORTISE_OK;
}

enum mortise_status startup_find_identity(const char *user, bool may_differ,
	struct identity *out_identity, struct refusal *out_refusal)
{
	struct identity identity = {.uid = geteuid(), .gid = getegid()};
	struct names_user entry;

	if (user) {
		TRY(find_user(user, &entry, out_refusal));
		identity.differs = entry.uid != geteuid();
		identity.uid = entry.uid;
		identity.gid = entry.gid;
		if (names_groups(&entry, identity.groups, SPAWN_GROUPS_MAX,
			    &identity.group_count) != MORTISE_OK)
			return refuse(MORTISE_IO, out_refusal,
				"user = %s: its groups cannot be read, or are more than %d", user,
				SPAWN_GROUPS_MAX);
	}
	if (identity.differs && geteuid() != 0 && !may_differ)
		return refuse(MORTISE_REJECTED, out_refusal,
			"user = %s: only root can start an agent for somebody else", user);
	*out_identity = identity;
	return MORTISE_OK;
}
