/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one SQL statement against a DuckDB file, read-only, and prints the rows, columns separated
 * by " | ". For the demo: any DuckDB 1.5 client does the same. The file must not be open in a
 * running penstock: DuckDB lets one process in.
 */
#include <duckdb.h>
#include <stdio.h>

static int print_rows(duckdb_connection c, const char *sql)
{
    duckdb_result r;
    idx_t row, col;

    if (duckdb_query(c, sql, &r) != DuckDBSuccess) {
        fprintf(stderr, "duckdb-query: %s\n", duckdb_result_error(&r));
        duckdb_destroy_result(&r);
        return 1;
    }
    for (row = 0; row < duckdb_row_count(&r); row++) {
        for (col = 0; col < duckdb_column_count(&r); col++) {
            char *text = duckdb_value_varchar(&r, col, row);

            printf("%s%s", col > 0 ? " | " : "", text != NULL ? text : "NULL");
            duckdb_free(text);
        }
        putchar('\n');
    }
    duckdb_destroy_result(&r);
    return 0;
}

int main(int argc, char **argv)
{
    duckdb_config config;
    duckdb_database db;
    duckdb_connection c;
    char *error = NULL;
    int code;

    if (argc != 3) {
        fprintf(stderr, "usage: duckdb-query FILE SQL\n");
        return 2;
    }
    duckdb_create_config(&config);
    duckdb_set_config(config, "access_mode", "READ_ONLY");
    if (duckdb_open_ext(argv[1], &db, config, &error) != DuckDBSuccess) {
        fprintf(stderr, "duckdb-query: %s\n", error);
        return 1;
    }
    duckdb_connect(db, &c);
    code = print_rows(c, argv[2]);
    duckdb_disconnect(&c);
    duckdb_close(&db);
    duckdb_destroy_config(&config);
    return code;
}
