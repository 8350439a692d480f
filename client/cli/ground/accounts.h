/* SPDX-License-Identifier: ISC */
/*
 * accounts: the users and groups of this host, by name, by number and one after the other.
 * A static build reads /etc/passwd and /etc/group, for it cannot load what nsswitch.conf names.
 * What is returned stays until the next call for the same kind; NULL: there is none.
 */
#ifndef MORTISE_CLI_ACCOUNTS_H
#define MORTISE_CLI_ACCOUNTS_H

#include <grp.h>
#include <pwd.h>

const struct passwd *accounts_user(const char *name);
const struct passwd *accounts_user_of(uid_t uid);
const struct group *accounts_group(const char *name);
const struct group *accounts_group_of(gid_t gid);

/* Before the first of all, and behind the last. */
void accounts_begin(void);
const struct passwd *accounts_next_user(void);
const struct group *accounts_next_group(void);
void accounts_end(void);

#endif
