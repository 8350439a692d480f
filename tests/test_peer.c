/* SPDX-License-Identifier: ISC */
/* peer: which server is asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_agent.h"
#include "mortise_test.h"
#include "peer.h"

#define STRANGER 12345

static void root_and_oneself_are_trusted_and_strangers_are_not(void **state)
{
	const struct fake_agent *fake = *state;

	assert_true(peer_is_trusted(fake->path, 0, 1000));
	assert_true(peer_is_trusted(fake->path, 1000, 1000));
	assert_false(peer_is_trusted(fake->path, STRANGER, 1000));
	assert_false(peer_is_trusted("sock", STRANGER, 1000));
	assert_false(peer_is_trusted("/nowhere/at/all/sock", STRANGER, 1000));
}

static void the_overflow_uid_is_nobody(void **state)
{
	const struct fake_agent *fake = *state;

	assert_false(peer_is_trusted(fake->path, 65534, 65534));
}

static void the_owner_of_a_directory_below_tmp_is_not_trusted(void **state)
{
	const struct fake_agent *fake = *state;

	if (geteuid() != 0)
		skip(); /* only root gives a directory to another user */
	assert_int_equal(chown(fake->directory, STRANGER, STRANGER), 0);
	assert_int_equal(chmod(fake->directory, 0755), 0);
	assert_false(peer_is_trusted(fake->path, STRANGER, 0));
}

static void the_owner_of_a_closed_directory_is_trusted_until_others_may_write(void **state)
{
	const struct fake_agent *fake = *state;
	char directory[] = "/run/mortise-client-XXXXXX", path[64], link[96], through[128];

	if (geteuid() != 0 || mkdtemp(directory) == NULL)
		skip(); /* only root gives a directory to another user */
	(void)snprintf(path, sizeof path, "%s/sock", directory);
	(void)snprintf(link, sizeof link, "%s/link", fake->directory);
	(void)snprintf(through, sizeof through, "%s/sock", link);
	assert_int_equal(chown(directory, STRANGER, STRANGER), 0);
	assert_int_equal(chmod(directory, 0755), 0);
	assert_int_equal(symlink(directory, link), 0);
	assert_true(peer_is_trusted(path, STRANGER, 1000));
	assert_false(peer_is_trusted(path, STRANGER + 1, 1000));
	assert_false(peer_is_trusted(through, STRANGER, 1000));
	assert_int_equal(chmod(directory, 0775), 0);
	assert_false(peer_is_trusted(path, STRANGER, 1000));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(rmdir(directory), 0);
}

/* SO_PEERCRED tells who called listen(). */
static void serve_as_stranger(struct fake_agent *fake, int ready)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	memcpy(address.sun_path, fake->path, sizeof fake->path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
		setuid(STRANGER) != 0 || listen(fd, 1) != 0 || write(ready, "", 1) != 1)
		_exit(1);
	(void)pause();
	_exit(0);
}

static void a_server_of_another_user_is_refused(void **state)
{
	struct fake_agent *fake = *state;
	struct mortise *agent;
	pid_t child;
	char byte;

	if (geteuid() != 0)
		skip(); /* only root becomes another user */
	child = fork();
	if (child == 0)
		serve_as_stranger(fake, fake->stop[1]);
	assert_int_equal(read(fake->stop[0], &byte, 1), 1);
	assert_int_equal(mortise_open(fake->path, &agent), MORTISE_UNREACHABLE);
	assert_non_null(strstr(mortise_message(agent), "uid 12345"));
	mortise_close(agent);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FAKE(root_and_oneself_are_trusted_and_strangers_are_not),
		WITH_FAKE(the_overflow_uid_is_nobody),
		WITH_FAKE(the_owner_of_a_directory_below_tmp_is_not_trusted),
		WITH_FAKE(the_owner_of_a_closed_directory_is_trusted_until_others_may_write),
		WITH_FAKE(a_server_of_another_user_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
