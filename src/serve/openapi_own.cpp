#include "serve/openapi.h"

namespace mneme::serve {
namespace {

constexpr std::string_view kText = R"json({
"paths": {
  "/": {
    "get": {"summary": "What is served, for people", "security": [], "responses": {
      "200": {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}}}},
  "/health": {
    "get": {"summary": "Whether the server is up", "security": [], "responses": {
      "200": {"description": "It is", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/Health"}}}}}}},
  "/openapi.json": {
    "get": {"summary": "This document", "security": [], "responses": {
      "200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object",
        "required": ["openapi", "info", "paths"]}}}}}}},
  "/props": {
    "get": {"summary": "The models and what they do now", "responses": {
      "200": {"description": "Properties", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/Props"}}}}}}},
  "/metrics": {
    "get": {"summary": "Figures for Prometheus; with keys, for admins alone", "responses": {
      "200": {"description": "Text format 0.0.4", "content": {"text/plain": {"schema": {"type": "string"}}}},
      "403": {"description": "Not an admin's key", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/Error"}}}}}}},
  "/v1/sessions": {
    "get": {"summary": "The contexts that are kept, of the caller (of an admin: all)", "responses": {
      "200": {"description": "Sessions", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/SessionList"}}}}}}},
  "/v1/sessions/{id}": {
    "parameters": [
      {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
      {"name": "model", "in": "query", "description": "where several models have a session of this id",
        "schema": {"type": "string"}},
      {"name": "owner", "in": "query", "description": "for admins: whose", "schema": {"type": "string"}}],
    "get": {"summary": "A session and where its keys and values lie", "responses": {
      "200": {"description": "The session", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/SessionDetail"}}}},
      "404": {"$ref": "#/components/responses/NoSession"}}},
    "delete": {"summary": "Forgets a session", "responses": {
      "200": {"description": "It is gone", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/SessionDeleted"}}}},
      "404": {"$ref": "#/components/responses/NoSession"},
      "409": {"description": "It runs", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/Error"}}}}}}},
  "/v1/sessions/{id}/fork": {
    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
    "post": {"summary": "The same context once more; what is stored is shared",
      "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {
        "name": {"type": "string", "description": "of the new one; empty: unnamed"}}}}}},
      "responses": {
      "201": {"description": "The new session", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/SessionForked"}}}},
      "403": {"description": "The key may keep no more sessions", "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/Error"}}}},
      "404": {"$ref": "#/components/responses/NoSession"},
      "409": {"description": "It runs, or the name is taken", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/Error"}}}}}}},
  "/v1/sessions/{id}/pin": {
    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
    "post": {"summary": "Keeps a session in memory, or no longer",
      "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {
        "pinned": {"type": "boolean", "default": true}}}}}},
      "responses": {
      "200": {"description": "Done", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/SessionPinned"}}}},
      "404": {"$ref": "#/components/responses/NoSession"},
      "409": {"description": "It cannot be", "content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/Error"}}}}}}},
  "/v1/sessions/{id}/export": {
    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
    "get": {"summary": "A session as a file that mneme session import takes", "responses": {
      "200": {"description": "The file", "content": {"application/octet-stream": {"schema": {
        "type": "string"}}}},
      "404": {"$ref": "#/components/responses/NoSession"},
      "409": {"description": "It runs, or there is no cold tier", "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/Error"}}}}}}}
},
"responses": {
  "Wrong": {"description": "The request is wrong; the message names the field", "content": {
    "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
  "Busy": {"description": "The key's rate, or queues are full: Retry-After says when to come again",
    "headers": {"Retry-After": {"description": "in seconds", "schema": {"type": "integer"}}},
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
  "NoSession": {"description": "None of the caller's", "content": {"application/json": {"schema": {
    "$ref": "#/components/schemas/Error"}}}}
},
"schemas": {
  "Health": {"type": "object", "required": ["status"], "properties": {"status": {"enum": ["ok"]}}},
  "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object",
    "required": ["message", "type", "param", "code"], "additionalProperties": false, "properties": {
      "message": {"type": "string"}, "type": {"type": "string"},
      "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}}}},
  "Props": {"type": "object", "required": ["version", "models"], "properties": {
    "version": {"type": "string"},
    "models": {"type": "array", "items": {"$ref": "#/components/schemas/ModelProps"}}}},
  "ModelProps": {"type": "object", "required": ["name", "role", "loaded"], "additionalProperties": false,
    "properties": {
    "name": {"type": "string"}, "role": {"enum": ["", "lite", "large"]}, "loaded": {"type": "boolean"},
    "architecture": {"type": "string"}, "parameters": {"type": "integer"}, "context_length": {
      "type": "integer"},
    "context_tokens_max": {"type": "integer"}, "vocab_size": {"type": "integer"}, "embedding_size": {
      "type": "integer"},
    "kv_token_bytes": {"type": "integer"}, "threads": {"type": "integer"}, "isa": {"type": "string"},
    "state": {"$ref": "#/components/schemas/ModelState"}}},
  "ModelState": {"type": "object", "additionalProperties": false,
    "required": ["running", "waiting", "requests", "prompt_tokens", "generated_tokens", "kv_bytes_used",
      "tiers"],
    "properties": {
      "running": {"type": "integer"}, "waiting": {"type": "integer"}, "requests": {"type": "integer"},
      "failures": {"type": "integer"}, "cancelled": {"type": "integer"}, "prompt_tokens": {"type": "integer"},
      "found_tokens": {"type": "integer", "description": "of prompts, that needed no computing"},
      "generated_tokens": {"type": "integer"}, "prefill_s": {"type": "number"}, "decode_s": {
        "type": "number"},
      "kv_bytes_used": {"type": "integer"}, "kv_bytes_max": {"type": "integer"},
      "tiers": {"type": "object", "additionalProperties": false, "required": ["on"], "properties": {
        "on": {"type": "boolean"}, "hot_bytes": {"type": "integer"}, "warm_bytes": {"type": "integer"},
        "passing_bytes": {"type": "integer"},
        "hits": {"type": "integer"}, "misses": {"type": "integer"}, "read_bytes": {"type": "integer"},
        "written_bytes": {"type": "integer"}}}}},
  "Session": {"type": "object",
    "required": ["id", "model", "named", "running", "pinned", "resting", "tokens", "pending", "idle_s"],
    "properties": {
      "id": {"type": "string"}, "model": {"type": "string"}, "named": {"type": "boolean"},
      "running": {"type": "boolean"}, "pinned": {"type": "boolean"},
      "resting": {"type": "boolean", "description": "on the disk alone"},
      "tokens": {"type": "integer"}, "pending": {"type": "integer"}, "idle_s": {"type": "number"},
      "affinity": {"type": "string"}, "owner": {"type": "string", "description": "for admins"}}},
  "SessionList": {"type": "object", "required": ["object", "data"], "additionalProperties": false,
    "properties": {
    "object": {"enum": ["list"]}, "data": {"type": "array", "items": {
      "$ref": "#/components/schemas/Session"}}}},
  "SessionDetail": {"allOf": [{"$ref": "#/components/schemas/Session"}, {"type": "object",
    "required": ["map"],
    "properties": {"map": {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/TierMap"}]},
                   "map_error": {"type": "string"}}}]},
  "TierMap": {"type": "object", "additionalProperties": false,
    "required": ["layers", "segment_tokens", "tokens", "extents", "rows", "heat"], "properties": {
      "layers": {"type": "integer"}, "segment_tokens": {"type": "integer"}, "tokens": {"type": "integer"},
      "extents": {"type": "object", "properties": {"hot": {"type": "integer"}, "warm": {"type": "integer"},
        "passing": {"type": "integer"}, "cold": {"type": "integer"}, "unwritten": {"type": "integer"}}},
      "rows": {"type": "array", "description": "a row a segment, a letter a layer: h, w, p, c, u",
        "items": {"type": "string"}},
      "heat": {"type": "array", "items": {"type": "number"}}}},
  "SessionDeleted": {"type": "object", "required": ["id", "model", "deleted"], "properties": {
    "id": {"type": "string"}, "model": {"type": "string"}, "deleted": {"enum": [true]}}},
  "SessionPinned": {"type": "object", "required": ["id", "model", "pinned"], "properties": {
    "id": {"type": "string"}, "model": {"type": "string"}, "pinned": {"type": "boolean"}}},
  "SessionForked": {"type": "object", "required": ["id", "model", "forked_from"], "properties": {
    "id": {"type": "string"}, "model": {"type": "string"}, "forked_from": {"type": "string"}}}
}
})json";

}  // namespace

std::string_view openapi_own() { return kText; }

}  // namespace mneme::serve
