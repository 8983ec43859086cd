#include "serve/openapi.h"

namespace mneme::serve {
namespace {

constexpr std::string_view kText = R"json({
  "paths": {
    "/v1/messages": {
      "post": {
        "summary": "An answer to a conversation",
        "requestBody": {
          "required": true,
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/MessagesRequest"}}}
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/MessagesAnswer"}},
              "text/event-stream": {
                "schema": {
                  "type": "string",
                  "description": "events: message_start, ping, content_block_*, message_delta, message_stop"
                }
              }
            }
          },
          "400": {"$ref": "#/components/responses/AnthropicWrong"},
          "429": {"$ref": "#/components/responses/AnthropicBusy"},
          "529": {"$ref": "#/components/responses/AnthropicFull"}
        }
      }
    },
    "/v1/messages/count_tokens": {
      "post": {
        "summary": "How many tokens a conversation has",
        "requestBody": {
          "required": true,
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CountRequest"}}}
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CountAnswer"}}}
          },
          "400": {"$ref": "#/components/responses/AnthropicWrong"},
          "429": {"$ref": "#/components/responses/AnthropicBusy"},
          "529": {"$ref": "#/components/responses/AnthropicFull"}
        }
      }
    }
  },
  "responses": {
    "AnthropicWrong": {
      "description": "The request is wrong; the message names the field",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AnthropicError"}}}
    },
    "AnthropicBusy": {
      "description": "The key's rate: Retry-After says when to come again",
      "headers": {"Retry-After": {"description": "in seconds", "schema": {"type": "integer"}}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AnthropicError"}}}
    },
    "AnthropicFull": {
      "description": "Queues are full: Retry-After says when to come again",
      "headers": {"Retry-After": {"description": "in seconds", "schema": {"type": "integer"}}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AnthropicError"}}}
    }
  },
  "schemas": {
    "AnthropicError": {
      "type": "object", "required": ["type", "error"],
      "properties": {
        "type": {"enum": ["error"]},
        "error": {
          "type": "object", "required": ["type", "message"],
          "properties": {"type": {"type": "string"}, "message": {"type": "string"}}
        },
        "request_id": {"type": ["string", "null"]}
      }
    },
    "AnthropicMessage": {
      "type": "object", "required": ["role", "content"],
      "properties": {
        "role": {"enum": ["user", "assistant", "system"]}, "content": {"type": ["string", "array"]}
      }
    },
    "MessagesRequest": {
      "type": "object", "required": ["messages", "max_tokens"],
      "properties": {
        "model": {"type": "string"},
        "messages": {"type": "array", "items": {"$ref": "#/components/schemas/AnthropicMessage"}},
        "max_tokens": {"type": "integer"}, "system": {"type": ["string", "array"]},
        "stream": {"type": "boolean"}, "temperature": {"type": "number"}, "top_p": {"type": "number"},
        "top_k": {"type": "integer"}, "stop_sequences": {"type": "array", "items": {"type": "string"}},
        "tools": {"type": "array", "items": {"type": "object"}}, "tool_choice": {"type": "object"},
        "thinking": {"type": "object"},
        "session": {"type": "string", "description": "the name that the context is kept under"}
      }
    },
    "MessagesAnswer": {
      "type": "object", "required": ["id", "type", "role", "model", "content", "stop_reason", "usage"],
      "properties": {
        "id": {"type": "string"}, "type": {"enum": ["message"]}, "role": {"enum": ["assistant"]},
        "model": {"type": "string"},
        "content": {
          "type": "array",
          "items": {
            "type": "object", "required": ["type"],
            "properties": {"type": {"enum": ["text", "thinking", "tool_use"]}}
          }
        },
        "stop_reason": {"type": ["string", "null"]}, "stop_sequence": {"type": ["string", "null"]},
        "usage": {
          "type": "object", "required": ["input_tokens", "output_tokens"],
          "properties": {
            "input_tokens": {"type": "integer"}, "output_tokens": {"type": "integer"},
            "cache_read_input_tokens": {"type": "integer"},
            "cache_creation_input_tokens": {"type": "integer"}
          }
        }
      }
    },
    "CountRequest": {
      "type": "object", "required": ["messages"],
      "properties": {
        "model": {"type": "string"},
        "messages": {"type": "array", "items": {"$ref": "#/components/schemas/AnthropicMessage"}},
        "system": {"type": ["string", "array"]}, "tools": {"type": "array", "items": {"type": "object"}}
      }
    },
    "CountAnswer": {
      "type": "object", "required": ["input_tokens"],
      "properties": {"input_tokens": {"type": "integer"}}
    }
  }
})json";

}  // namespace

std::string_view openapi_anthropic() { return kText; }

}  // namespace mneme::serve
