/* SPDX-License-Identifier: ISC */
#include "mortised_options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"
#include "log.h"

#ifndef MORTISE_VERSION
#define MORTISE_VERSION "0"
#endif
#ifndef MORTISE_SEALER_PATH
#define MORTISE_SEALER_PATH "/usr/libexec/mortise/mortise-sealer"
#endif

static const char help[] =
	"usage: mortised [OPTIONS]\n"
	"Runs the mortise agent in the foreground; messages go to standard error.\n"
	"\n"
	"  -c, --config=FILE  configuration (" CONFIG_DEFAULT_PATH ")\n"
	"      --check        check configuration and directories, change nothing\n"
	"      --ready-fd=N   write a newline to descriptor N once the agent answers\n"
	"      --sealer=PATH  program that talks to the TPM or token\n"
	"      --help, --version\n";

/* --ready-fd: an open descriptor that is none of the standard ones. */
static int read_fd(const char *text)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || number > INT_MAX ||
		number <= STDERR_FILENO || fcntl((int)number, F_SETFD, FD_CLOEXEC) != 0)
		return -1;
	return (int)number;
}

_Noreturn void mortised_misuse(const char *text)
{
	log_error("%s; try: mortised --help", text);
	exit(EX_USAGE);
}

_Noreturn static void print(const char *text)
{
	exit(fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? EX_OK : EX_IOERR);
}

static void take_option(int option, struct mortised_options *options)
{
	if (option == 'c') {
		options->config_path = optarg;
	} else if (option == 'k') {
		options->check_only = true;
	} else if (option == 'r') {
		options->ready_fd = read_fd(optarg);
		if (options->ready_fd < 0)
			mortised_misuse("--ready-fd: not an open descriptor above 2");
	} else if (option == 's') {
		options->sealer_path = optarg;
		if (*optarg != '/')
			mortised_misuse("--sealer: not an absolute path");
	} else if (option == 'h') {
		print(help);
	} else if (option == 'v') {
		print("mortised " MORTISE_VERSION "\n");
	} else {
		exit(EX_USAGE); /* getopt has said why */
	}
}

struct mortised_options mortised_options_read(int argc, char **argv)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'},
		{"ready-fd", required_argument, NULL, 'r'},
		{"sealer", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	struct mortised_options options = {.sealer_path = MORTISE_SEALER_PATH, .ready_fd = -1};
	int option;

	while ((option = getopt_long(argc, argv, "c:", known, NULL)) != -1)
		take_option(option, &options);
	if (optind != argc)
		mortised_misuse("too many arguments");
	return options;
}
