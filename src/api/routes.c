/* SPDX-License-Identifier: Apache-2.0 */
/* The table of routes. schemas/openapi.yaml describes the same; tests/unit/test_http.c compares. */
#include "api/api.h"

const struct api_route api_routes[] = {
    {"GET", "/", api_root},
    {"GET", "/livez", api_livez},
    {"GET", "/readyz", api_readyz},
    {"GET", "/health", api_health},
    {"GET", "/metrics", api_metrics},
    {"GET", "/connectors", api_connectors},
    {"GET", "/connectors/{}", api_connector},
    {"GET", "/connectors/{}/config", api_connector_config},
    {"GET", "/connectors/{}/status", api_connector_status},
    {"GET", "/connectors/{}/tasks", api_connector_tasks},
    {"GET", "/connectors/{}/tasks/{}/status", api_task_status},
    {"PUT", "/connectors/{}/pause", api_pause},
    {"PUT", "/connectors/{}/resume", api_resume},
    {"POST", "/connectors/{}/restart", api_restart},
    {"POST", "/connectors/{}/tasks/{}/restart", api_restart_task},
    {"GET", "/v1/tables", api_tables},
    {"POST", "/v1/connectors/{}/snapshots", api_snapshots},
    {"POST", "/v1/query", api_query},
    {"GET", "/v1/verifications", api_verifications},
    {"POST", "/v1/verifications", api_verify},
    {"GET", "/v1/verifications/{}", api_verification},
    {"DELETE", "/v1/verifications/{}", api_cancel_verification},
    {NULL, NULL, NULL},
};
