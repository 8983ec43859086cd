#include "serve/openapi.h"

namespace mneme::serve {
namespace {

constexpr std::string_view kText = R"json({
  "paths": {
    "/v1/models": {
      "get": {
        "summary": "The models that are served",
        "responses": {
          "200": {
            "description": "Models",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ModelList"}}}
          }
        }
      }
    },
    "/v1/models/{id}": {
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "get": {
        "summary": "One model",
        "responses": {
          "200": {
            "description": "The model",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Model"}}}
          },
          "404": {
            "description": "There is none of the name",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          }
        }
      }
    },
    "/v1/chat/completions": {
      "post": {
        "summary": "An answer to a conversation",
        "requestBody": {
          "required": true,
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}}
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/ChatAnswer"}},
              "text/event-stream": {
                "schema": {
                  "type": "string",
                  "description": "data: chunks, then data: [DONE]; comments while a long prompt is read"
                }
              }
            }
          },
          "400": {
            "description": "The request is wrong; the message names the field",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          },
          "429": {
            "description": "The key's rate, or queues are full: Retry-After says when to come again",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          }
        }
      }
    },
    "/v1/completions": {
      "post": {
        "summary": "How a text goes on; with a suffix, what is between",
        "requestBody": {
          "required": true,
          "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/CompletionRequest"}}
          }
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/CompletionAnswer"}},
              "text/event-stream": {
                "schema": {
                  "type": "string", "description": "data: pieces of the same shape, then data: [DONE]"
                }
              }
            }
          },
          "400": {
            "description": "The request is wrong; the message names the field",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          },
          "429": {
            "description": "The key's rate, or queues are full: Retry-After says when to come again",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          }
        }
      }
    },
    "/v1/embeddings": {
      "post": {
        "summary": "Vectors of texts",
        "requestBody": {
          "required": true,
          "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/EmbeddingRequest"}}
          }
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/EmbeddingAnswer"}}
            }
          },
          "400": {
            "description": "The request is wrong; the message names the field",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          },
          "429": {
            "description": "The key's rate, or queues are full: Retry-After says when to come again",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          }
        }
      }
    },
    "/v1/responses": {
      "post": {
        "summary": "An answer, in the shape of Responses; nothing is kept",
        "requestBody": {
          "required": true,
          "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/ResponsesRequest"}}
          }
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/ResponsesAnswer"}},
              "text/event-stream": {
                "schema": {
                  "type": "string", "description": "events: response.created, ..., response.completed"
                }
              }
            }
          },
          "400": {
            "description": "The request is wrong; the message names the field",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          },
          "429": {
            "description": "The key's rate, or queues are full: Retry-After says when to come again",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          }
        }
      }
    }
  },
  "schemas": {
    "Model": {
      "type": "object", "required": ["id", "object", "created", "owned_by", "loaded"],
      "properties": {
        "id": {"type": "string"}, "object": {"enum": ["model"]}, "created": {"type": "integer"},
        "owned_by": {"type": "string"}, "loaded": {"type": "boolean"},
        "role": {"enum": ["lite", "large"]}
      }
    },
    "ModelList": {
      "type": "object", "required": ["object", "data"],
      "properties": {
        "object": {"enum": ["list"]},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}
      },
      "additionalProperties": false
    },
    "ChatMessage": {
      "type": "object", "required": ["role"],
      "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
        "content": {
          "description": "a text, or parts of type text", "type": ["string", "array", "null"]
        },
        "tool_calls": {"type": "array", "items": {"$ref": "#/components/schemas/ToolCall"}},
        "tool_call_id": {"type": "string"}, "reasoning_content": {"type": ["string", "null"]}
      }
    },
    "ToolCall": {
      "type": "object", "required": ["id", "type", "function"],
      "properties": {
        "id": {"type": "string"}, "type": {"enum": ["function"]},
        "function": {
          "type": "object", "required": ["name", "arguments"],
          "properties": {
            "name": {"type": "string"}, "arguments": {"type": "string", "description": "JSON"}
          }
        }
      }
    },
    "ChatRequest": {
      "type": "object", "required": ["messages"],
      "properties": {
        "model": {"type": "string"},
        "messages": {"type": "array", "items": {"$ref": "#/components/schemas/ChatMessage"}},
        "stream": {"type": "boolean"},
        "stream_options": {
          "type": "object", "required": [], "properties": {"include_usage": {"type": "boolean"}}
        },
        "max_tokens": {"type": "integer"}, "max_completion_tokens": {"type": "integer"},
        "temperature": {"type": "number"}, "top_p": {"type": "number"}, "top_k": {"type": "integer"},
        "min_p": {"type": "number"}, "seed": {"type": "integer"},
        "presence_penalty": {"type": "number"}, "frequency_penalty": {"type": "number"},
        "stop": {"type": ["string", "array", "null"]}, "n": {"type": "integer"},
        "logprobs": {"type": "boolean"}, "top_logprobs": {"type": "integer"},
        "logit_bias": {"type": "object"}, "tools": {"type": "array", "items": {"type": "object"}},
        "tool_choice": {"type": ["string", "object"]}, "parallel_tool_calls": {"type": "boolean"},
        "response_format": {
          "type": "object", "required": ["type"],
          "properties": {
            "type": {"enum": ["text", "json_object", "json_schema"]}, "json_schema": {"type": "object"}
          }
        },
        "prompt_cache_key": {"type": "string"},
        "session": {"type": "string", "description": "the name that the context is kept under"}
      }
    },
    "ChatAnswer": {
      "type": "object", "required": ["id", "object", "created", "model", "choices", "usage"],
      "properties": {
        "id": {"type": "string"}, "object": {"enum": ["chat.completion"]},
        "created": {"type": "integer"}, "model": {"type": "string"},
        "choices": {
          "type": "array",
          "items": {
            "type": "object", "required": ["index", "message", "finish_reason"],
            "properties": {
              "index": {"type": "integer"}, "message": {"$ref": "#/components/schemas/ChatMessage"},
              "finish_reason": {"type": ["string", "null"]}, "logprobs": {"type": ["object", "null"]}
            }
          }
        },
        "usage": {"$ref": "#/components/schemas/Usage"}
      }
    },
    "Usage": {
      "type": "object", "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
      "properties": {
        "prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
        "prompt_tokens_details": {
          "type": "object", "required": [],
          "properties": {"cached_tokens": {"type": "integer", "description": "found, not computed"}}
        },
        "completion_tokens_details": {
          "type": "object", "required": [], "properties": {"reasoning_tokens": {"type": "integer"}}
        }
      }
    },
    "CompletionRequest": {
      "type": "object", "required": [],
      "properties": {
        "model": {"type": "string"},
        "prompt": {"description": "a text, several, or tokens", "type": ["string", "array"]},
        "suffix": {"type": ["string", "null"]}, "max_tokens": {"type": "integer"},
        "stream": {"type": "boolean"}, "temperature": {"type": "number"}, "top_p": {"type": "number"},
        "top_k": {"type": "integer"}, "min_p": {"type": "number"}, "seed": {"type": "integer"},
        "presence_penalty": {"type": "number"}, "frequency_penalty": {"type": "number"},
        "stop": {"type": ["string", "array", "null"]}, "n": {"type": "integer"},
        "echo": {"type": "boolean"}, "logprobs": {"type": ["integer", "boolean", "null"]},
        "segments": {"type": "object", "description": "Tabby's: prefix and suffix in place of prompt"},
        "session": {"type": "string", "description": "the name that the context is kept under"}
      }
    },
    "CompletionAnswer": {
      "type": "object", "required": ["id", "choices"],
      "properties": {
        "id": {"type": "string"}, "object": {"enum": ["text_completion"]},
        "created": {"type": "integer"}, "model": {"type": "string"},
        "choices": {
          "type": "array",
          "items": {
            "type": "object", "required": ["index", "text"],
            "properties": {
              "index": {"type": "integer"}, "text": {"type": "string"},
              "finish_reason": {"type": ["string", "null"]}, "logprobs": {"type": ["object", "null"]}
            }
          }
        },
        "usage": {"$ref": "#/components/schemas/Usage"}
      }
    },
    "EmbeddingRequest": {
      "type": "object", "required": ["input"],
      "properties": {
        "model": {"type": "string"}, "input": {"type": ["string", "array"]},
        "encoding_format": {"enum": ["float", "base64"]}
      }
    },
    "EmbeddingAnswer": {
      "type": "object", "required": ["object", "data", "model", "usage"],
      "properties": {
        "object": {"enum": ["list"]}, "model": {"type": "string"},
        "data": {
          "type": "array",
          "items": {
            "type": "object", "required": ["object", "index", "embedding"],
            "properties": {
              "object": {"enum": ["embedding"]}, "index": {"type": "integer"},
              "embedding": {
                "description": "numbers, or base64 of little-endian 32-bit floats",
                "type": ["array", "string"]
              }
            }
          }
        },
        "usage": {
          "type": "object", "required": ["prompt_tokens", "total_tokens"],
          "properties": {"prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}}
        }
      }
    },
    "ResponsesRequest": {
      "type": "object", "required": ["input"],
      "properties": {
        "model": {"type": "string"}, "input": {"type": ["string", "array"]},
        "instructions": {"type": ["string", "null"]}, "stream": {"type": "boolean"},
        "max_output_tokens": {"type": ["integer", "null"]}, "temperature": {"type": "number"},
        "top_p": {"type": "number"}, "top_k": {"type": "integer"}, "min_p": {"type": "number"},
        "seed": {"type": "integer"}, "presence_penalty": {"type": "number"},
        "frequency_penalty": {"type": "number"},
        "tools": {"type": "array", "items": {"type": "object"}},
        "tool_choice": {"type": ["string", "object"]}, "text": {"type": "object"},
        "prompt_cache_key": {"type": "string"},
        "session": {"type": "string", "description": "the name that the context is kept under"}
      }
    },
    "ResponsesAnswer": {
      "type": "object", "required": ["id", "object", "created_at", "status", "model", "output"],
      "properties": {
        "id": {"type": "string"}, "object": {"enum": ["response"]}, "created_at": {"type": "number"},
        "status": {"enum": ["completed", "incomplete", "failed", "cancelled"]},
        "model": {"type": "string"}, "output": {"type": "array", "items": {"type": "object"}},
        "usage": {"type": ["object", "null"]}
      }
    }
  }
})json";

}  // namespace

std::string_view openapi_openai() { return kText; }

}  // namespace mneme::serve
