/* SPDX-License-Identifier: ISC */
#include "dev_directory.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

#define OPEN_MAX 16 /* descriptors while a tree is removed */

/* That of another user is what sudo leaves in the environment. */
static bool is_own_directory(const char *path)
{
	struct stat facts;

	return path != NULL && path[0] == '/' && stat(path, &facts) == 0 &&
	       S_ISDIR(facts.st_mode) && facts.st_uid == geteuid() && access(path, W_OK) == 0;
}

static bool name_below(const char *parent, struct dev_directory *out_directory)
{
	char resolved[PATH_MAX]; /* mortised follows no link */
	uint64_t random = 0;
	int size;

	if (realpath(parent, resolved) == NULL ||
		getrandom(&random, sizeof random, 0) != sizeof random)
		return false;
	size = snprintf(out_directory->path, sizeof out_directory->path, "%s/mortise-dev.%012llx",
		strcmp(resolved, "/") == 0 ? "" : resolved,
		(unsigned long long)random & 0xffffffffffffULL);
	errno = ENAMETOOLONG;
	return size > 0 && (size_t)size < sizeof out_directory->path;
}

int dev_directory_choose(const struct cli *cli, struct dev_directory *out_directory)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *parent = getenv("TMPDIR");

	if (is_own_directory(runtime) && name_below(runtime, out_directory))
		return CLI_DONE;
	if (parent == NULL || parent[0] == '\0')
		parent = "/tmp";
	if (name_below(parent, out_directory))
		return CLI_DONE;
	return output_fail(cli, MORTISE_IO,
		"no directory for the agent below %s: %s; set TMPDIR to a short path of an "
		"existing directory",
		parent, strerror(errno));
}

bool dev_directory_make(const struct dev_directory *directory)
{
	return mkdir(directory->path, 0700) == 0;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *where)
{
	(void)facts;
	(void)kind;
	(void)where;
	(void)remove(path); /* what stays keeps its directory */
	return 0;
}

bool dev_directory_remove(const struct dev_directory *directory)
{
	(void)nftw(directory->path, remove_one, OPEN_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return access(directory->path, F_OK) != 0;
}
