/* SPDX-License-Identifier: ISC */
/*
 * scan_git: every object that a git repository's branches, tags and reflogs reach: the content of
 * files, the names in directories, the messages of commits and tags. Each object once, at the
 * commit and path where it occurs first. Reads through the git program, which gets an environment
 * of its own and may neither run what the repository configures nor fetch.
 */
#ifndef MORTISE_CLI_SCAN_GIT_H
#define MORTISE_CLI_SCAN_GIT_H

#include "scan_reader.h"

/* What fails is reported as unreadable. */
void scan_git(struct scan_reader *reader, const char *directory);

#endif
