/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: Prometheus' text format 0.0.4. */
#include "api/api.h"
#include "metrics/metrics.h"

void api_metrics(const struct api_request *request, struct api_reply *reply)
{
    reply->status = 200;
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(&reply->body, request->context->board);
}
