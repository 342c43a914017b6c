"""Runs in LiteLLM, which without a database calls a wrong key a bad request: 401, as hosted APIs say."""

import os
import secrets

from litellm.proxy._types import ProxyException, UserAPIKeyAuth


async def user_api_key_auth(request, api_key):
    """Who has the key may ask for everything."""
    if not secrets.compare_digest(api_key, os.environ["CHAT_KEY"]):
        raise ProxyException("Incorrect API key provided.", type="auth_error", param="key", code=401)
    return UserAPIKeyAuth(api_key=api_key)
