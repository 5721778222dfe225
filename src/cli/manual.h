/* SPDX-License-Identifier: Apache-2.0 */
/* Pages for the system that are made from the table of commands. */
#ifndef PENSTOCK_CLI_MANUAL_H
#define PENSTOCK_CLI_MANUAL_H

#include "cli/cli.h"

#include <stdio.h>

/* penstock(1), for man. commands: ended by a NULL, global: by a NULL name. */
void cli_print_manual(FILE *out, const struct cli_command *const *commands,
                      const struct cli_option *global);
/* For bash. */
void cli_print_completion(FILE *out, const struct cli_command *const *commands,
                          const struct cli_option *global);

#endif
